"""What a user of downloads notices: files arrive once, are gone on with, are found on disk, and are never replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from download_fixtures import MIB, REPO, STAGING, StartWorker, Worker, model_bytes, row, wrong_files
from hub import COMMIT, Fault, Hub

SIZE = 24 * MIB
NAME = "model.safetensors"


@pytest.fixture(scope="module")
def data() -> bytes:
    return model_bytes(SIZE)


@pytest.fixture
def wanted(hub: Hub, data: bytes) -> dict[str, object]:
    """The row of a file that the hub serves."""
    return row(NAME, SIZE, hub.add(REPO, f"split_files/vae/{NAME}", data))


def partials(models: Path) -> list[str]:
    return [path.name for path in models.rglob("*.partial")]


def test_a_cancelled_download_is_gone_on_with(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    hub.misbehave(NAME, Fault.STALL, at=15 * MIB, times=None)
    worker.start(models, wanted)
    worker.until(lambda state: state["done_bytes"] >= 10 * MIB)
    worker.order({"cancel": True})
    end = worker.end()
    assert end["cancelled"]
    assert end["error"] is None
    assert len(partials(models)) == 1
    assert not (models / "vae" / NAME).exists()
    hub.behave()
    assert worker.fetch(models, wanted)["finished"]
    assert hub.sent[NAME] == SIZE - 10 * MIB
    assert wrong_files(models, {NAME: data}) == []
    assert partials(models) == []


def test_a_damaged_leftover_is_noticed_and_fetched_anew(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    hub.misbehave(NAME, Fault.STALL, at=15 * MIB, times=None)
    worker.start(models, wanted)
    worker.until(lambda state: state["done_bytes"] >= 10 * MIB)
    worker.order({"cancel": True})
    worker.end()
    hub.behave()
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
        (model_bytes(SIZE)[: SIZE // 2], "truncated"),
        (model_bytes(MIB, seed=1), "other content"),
    ],
    ids=["empty", "page", "truncated", "another model"],
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


def test_the_same_bytes_under_another_name_are_used(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    (models / "vae" / "qwen").mkdir()
    (models / "vae" / "qwen" / "my copy.safetensors").write_bytes(data)
    assert worker.fetch(models, wanted)["finished"]
    assert not hub.requests
    assert wrong_files(models, {NAME: data, "my copy.safetensors": data}) == []


def test_other_bytes_of_the_same_size_are_not_used(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    other = model_bytes(SIZE, seed=1)
    (models / "vae" / "other.safetensors").write_bytes(other)
    assert worker.fetch(models, wanted)["finished"]
    assert hub.sent[NAME] == SIZE
    assert wrong_files(models, {NAME: data, "other.safetensors": other}) == []


@pytest.mark.parametrize("is_known", [True, False], ids=["hash known", "hash unknown"])
def test_the_hugging_face_cache_is_used_also_offline(
    is_known: bool, hub: Hub, start_worker: StartWorker, models: Path, data: bytes, tmp_path: Path
) -> None:
    sha256 = hub.add(REPO, f"split_files/vae/{NAME}", data)
    cache = tmp_path / "hf" / "hub" / f"models--{REPO.replace('/', '--')}"
    snapshot = cache / "snapshots" / COMMIT / "split_files" / "vae" / NAME
    blob = cache / "blobs" / sha256
    for path in (snapshot, blob, cache / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    snapshot.symlink_to(blob)
    (cache / "refs" / "main").write_text(COMMIT)
    worker = start_worker(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    known = row(NAME, SIZE, sha256) if is_known else row(NAME, SIZE - 1000, size_is_exact=False)
    end = worker.fetch(models, known)
    assert end["finished"], end
    assert wrong_files(models, {NAME: data}) == []
    assert not hub.requests


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


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of 128 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small tmpfs needs root on Linux")
    command = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=False)


def test_too_little_room_is_said_before_a_byte_moves(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object]
) -> None:
    (small_volume / "filler").write_bytes(bytes(60 * MIB))
    end = worker.fetch(small_volume, wanted)
    assert end["error"]["kind"] == "disk_full"
    assert "24 MiB" in end["error"]["message"]
    assert "68 MiB free" in end["error"]["message"]
    assert not hub.sent


def fill(path: Path) -> None:
    """Write until the volume is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(MIB)):
            pass


def test_a_disk_that_fills_up_in_the_middle_keeps_what_arrived(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object], data: bytes,
    record_fact: Callable[[str], None],
) -> None:  # fmt: skip
    hub.bytes_per_second = 10 * MIB
    worker.start(small_volume, wanted)
    worker.until(lambda state: state["done_bytes"] > 0)
    filler = small_volume / "filler"
    fill(filler)
    end = worker.end()
    assert end["error"]["kind"] == "disk_full", end
    assert "goes on from there" in end["error"]["message"]
    assert not (small_volume / "vae" / NAME).exists()
    filler.unlink()
    hub.behave()
    assert worker.fetch(small_volume, wanted)["finished"]
    assert hub.sent[NAME] < SIZE
    assert wrong_files(small_volume, {NAME: data}) == []
    record_fact(f"fault {'disk full in the middle':28} {'refused, then gone on with':38} bytes lost 0, wrong files 0")


def test_no_right_to_write_is_said_before_a_byte_moves(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object]
) -> None:
    shutil.rmtree(models / "vae")
    (models / "vae").write_text("a file where the folder should be")
    end = worker.fetch(models, wanted)
    assert end["error"]["kind"] == "no_permission"
    assert "extra_model_paths.yaml" in end["error"]["message"]
    assert not hub.requests
