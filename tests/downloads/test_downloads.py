"""What a user of downloads notices: files arrive once, are gone on with, are found on disk, and are never replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from download_fixtures import (
    MIB,
    NAME,
    REPO,
    SIZE,
    STAGING,
    StartWorker,
    Worker,
    model_bytes,
    partials,
    row,
    wrong_files,
)
from hub import Hub
from hub_faults import Fault


def cut_short(hub: Hub, start_worker: StartWorker, models: Path, wanted: dict[str, object]) -> None:
    """Cancel a download of `wanted` after its first 10 MiB, in a process of its own that then ends.

    The process ends because its thread, when its time-out is over, would ask the hub once more.
    """
    hub.misbehave(NAME, Fault.STALL, at=15 * MIB, times=None)
    worker = start_worker()
    worker.start(models, wanted)
    worker.until(lambda state: state["done_bytes"] >= 10 * MIB)
    worker.order({"cancel": True})
    end = worker.end()
    worker.kill()
    assert end["cancelled"]
    assert end["error"] is None
    assert len(partials(models)) == 1
    assert not (models / "vae" / NAME).exists()
    hub.behave()


def test_a_cancelled_download_is_gone_on_with(
    hub: Hub, worker: Worker, start_worker: StartWorker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    cut_short(hub, start_worker, models, wanted)
    assert worker.fetch(models, wanted)["finished"]
    assert hub.sent[NAME] == SIZE - 10 * MIB
    assert wrong_files(models, {NAME: data}) == []
    assert partials(models) == []


def test_what_the_hub_answers_after_a_cancel_leaves_no_trace(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object]
) -> None:
    hub.misbehave(NAME, Fault.LATE, at=1)
    worker.start(models, wanted)
    while not hub.requests["HEAD", NAME]:
        time.sleep(0.01)
    worker.order({"cancel": True})
    assert worker.end()["cancelled"]
    time.sleep(2)
    assert [path for path in models.rglob("*") if path.is_file()] == []


def test_a_damaged_leftover_is_noticed_and_fetched_anew(
    hub: Hub, worker: Worker, start_worker: StartWorker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    cut_short(hub, start_worker, models, wanted)
    (partial,) = models.rglob("*.partial")
    with partial.open("r+b") as file:
        file.seek(MIB)
        file.write(b"damaged")
    assert worker.fetch(models, wanted)["finished"]
    assert wrong_files(models, {NAME: data}) == []


def test_leftovers_of_other_content_and_of_long_ago_are_removed(
    worker: Worker, models: Path, wanted: dict[str, object]
) -> None:
    staging = models / "vae" / STAGING
    staging.mkdir()
    other_content = staging / f"{NAME}.0000000000000000.partial"
    long_ago = staging / "other.safetensors.0000000000000000.partial"
    recent = staging / "recent.safetensors.0000000000000000.partial"
    for path in (other_content, long_ago, recent):
        path.write_bytes(b"left")
    os.utime(long_ago, (0, 0))
    assert worker.fetch(models, wanted)["finished"]
    assert partials(models) == [recent.name]


def test_a_file_that_is_there_is_not_asked_for(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    (models / "vae" / NAME).write_bytes(data)
    assert worker.fetch(models, wanted)["finished"]
    assert not hub.requests


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"<html>not a model</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer, without the model"),
        (model_bytes(SIZE)[: SIZE // 2], "truncated"),
        (model_bytes(MIB, seed=1), "other content"),
    ],
    ids=["empty", "page", "git lfs pointer", "truncated", "another model"],
)
def test_a_file_in_the_way_is_named_and_left_alone(
    content: bytes, says: str, hub: Hub, worker: Worker, models: Path, wanted: dict[str, object]
) -> None:
    place = models / "vae" / NAME
    place.write_bytes(content)
    end = worker.fetch(models, wanted)
    assert end["error"]["kind"] == "name_taken"
    assert says in end["error"]["message"]
    assert place.read_bytes() == content
    assert not hub.sent


@pytest.mark.parametrize(
    ("environment", "kind", "says"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "offline", "HF_HUB_OFFLINE"),
        ({"HF_ENDPOINT": "http://no-such-host.invalid"}, "dns", "no-such-host.invalid"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "no_network", "127.0.0.1"),
    ],
    ids=["offline", "dns", "refused"],
)
def test_no_way_to_the_hub_is_told_apart(
    environment: dict[str, str],
    kind: str,
    says: str,
    start_worker: StartWorker,
    models: Path,
    wanted: dict[str, object],
) -> None:
    end = start_worker(**environment).fetch(models, wanted)
    assert end["error"]["kind"] == kind, end
    assert says in end["error"]["message"]
    assert "huggingface.co/org/models" in end["error"]["message"], "the way by hand"


def test_a_token_goes_to_the_hub_and_not_to_its_storage(
    hub: Hub, start_worker: StartWorker, models: Path, wanted: dict[str, object]
) -> None:
    worker = start_worker(HF_TOKEN="hf_not_a_real_token")
    assert worker.fetch(models, wanted)["finished"]
    seen = [path for path, header in hub.authorization if "hf_not_a_real_token" in header]
    assert seen
    assert not [path for path in seen if path.startswith("storage/")]
    assert "hf_not_a_real_token" not in worker.log()


def test_damage_that_the_hash_cannot_show_is_found_in_the_header(hub: Hub, worker: Worker, models: Path) -> None:
    junk = model_bytes(MIB)[:-100]
    sha256 = hub.add(REPO, f"split_files/vae/{NAME}", junk)
    end = worker.fetch(models, row(NAME, len(junk), sha256))
    assert end["error"]["kind"] == "damaged"
    assert "truncated" in end["error"]["message"]
    assert [path for path in models.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_a_file_whose_size_is_only_roughly_known_arrives(hub: Hub, worker: Worker, models: Path, data: bytes) -> None:
    hub.add(REPO, f"split_files/vae/{NAME}", data)
    end = worker.fetch(models, row(NAME, SIZE + 12345, size_is_exact=False))
    assert end["finished"]
    assert end["total_bytes"] == SIZE
    assert wrong_files(models, {NAME: data}) == []


def test_a_hub_file_of_another_size_than_the_catalogs_is_refused(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object]
) -> None:
    end = worker.fetch(models, {**wanted, "size_bytes": SIZE + 1})
    assert end["error"]["kind"] == "changed_on_hub"
    assert not hub.sent


def test_two_processes_fetch_a_file_once(
    hub: Hub, worker: Worker, start_worker: StartWorker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    hub.bytes_per_second = 12 * MIB
    other = start_worker()
    worker.start(models, wanted)
    worker.until(lambda state: state["done_bytes"] > 0)
    other.start(models, wanted)
    other.until(lambda state: "another ComfyUI" in state["note"])
    assert worker.end()["finished"]
    assert other.end()["finished"]
    assert hub.sent[NAME] == SIZE
    assert wrong_files(models, {NAME: data}) == []


def test_several_files_count_as_one_download(hub: Hub, worker: Worker, models: Path) -> None:
    rows = []
    for index in (1, 2, 3):
        name = f"part{index}.safetensors"
        rows.append(row(name, 12 * MIB, hub.add(REPO, f"split_files/vae/{name}", model_bytes(12 * MIB, seed=index))))
    hub.bytes_per_second = 30 * MIB
    worker.start(models, *rows)
    states = []
    while (message := worker.next()) and "end" not in message:
        states.append(message["state"])
    fetching = [state for state in states if state["done_bytes"]]
    assert {(state["index"], state["file"]) for state in fetching} == {(i, r["name"]) for i, r in enumerate(rows, 1)}
    assert {(state["count"], state["total_bytes"]) for state in fetching} == {(3, 36 * MIB)}
    done = [state["done_bytes"] for state in states]
    assert done == sorted(done)
    assert message
    assert message["end"]["finished"]
