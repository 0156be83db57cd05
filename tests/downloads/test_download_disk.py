"""Downloads and the disk: what is used instead of being fetched, too little room, a full disk, no right to write."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from download_fixtures import MIB, NAME, REPO, SIZE, StartWorker, Worker, fill, model_bytes, partials, row, wrong_files
from hub import Hub
from hub_server import COMMIT
from qwen_image_loader.planner.catalog import CATALOG
from qwen_image_loader.planner.catalog_file import CatalogFile
from qwen_image_loader.runtime.download import fetch_files
from qwen_image_loader.runtime.download_control import Control
from qwen_image_loader.runtime.download_explain import explain
from qwen_image_loader.runtime.download_staging import StagingLock, clean_staging, partial_path, publish
from qwen_image_loader.runtime.download_state import Progress
from qwen_image_loader.runtime.download_target import existing_folder


def test_the_same_bytes_under_another_name_are_used(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    (models / "vae" / "qwen").mkdir()
    (models / "vae" / "qwen" / "my copy.safetensors").write_bytes(data)
    assert worker.fetch(models, wanted)["finished"]
    assert not hub.requests
    assert wrong_files(models, {NAME: data, "my copy.safetensors": data}) == []


@pytest.mark.skipif(os.name == "nt", reason="making links needs a right on Windows")
def test_the_same_bytes_behind_a_relative_link_become_a_file_of_their_own(
    hub: Hub, worker: Worker, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    (models / "store").mkdir()
    (models / "store" / "blob").write_bytes(data)
    (models / "vae" / "mine").mkdir()
    (models / "vae" / "mine" / "renamed.safetensors").symlink_to(Path("..", "..", "store", "blob"))
    assert worker.fetch(models, wanted)["finished"]
    assert not hub.requests
    assert not (models / "vae" / NAME).is_symlink()
    assert (models / "vae" / NAME).read_bytes() == data


@pytest.mark.skipif(os.name == "nt", reason="making links needs a right on Windows")
def test_a_link_to_an_unplugged_drive_is_called_that(worker: Worker, models: Path, wanted: dict[str, object]) -> None:
    (models / "vae" / NAME).symlink_to("/mnt/not there/model.safetensors")
    end = worker.fetch(models, wanted)
    assert "a link to something that is not there" in end["error"]["message"]
    assert (models / "vae" / NAME).is_symlink()


def test_a_drive_that_is_gone_has_no_folder_to_look_at() -> None:
    class Gone(type(Path())):  # type: ignore[misc]
        def exists(self, **_: object) -> bool:
            return False

    with pytest.raises(FileNotFoundError, match="not there"):
        existing_folder(Gone("/mnt/gone/models/vae"))
    assert existing_folder(Path(os.sep, "surely", "not", "there")) == Path(os.sep)


def test_a_share_without_locks_is_used_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lock = StagingLock(tmp_path / "staging")
    assert lock.take()
    lock.release()


@pytest.fixture
def held_partials(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As on Windows while a virus scanner reads them, partial files cannot be removed; `undo` ends that."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".partial":
            raise PermissionError(errno.EACCES, "held by another program")
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        yield patch


def test_a_file_that_has_its_name_is_complete_though_its_partial_name_stays_for_now(
    models: Path, data: bytes, held_partials: pytest.MonkeyPatch
) -> None:
    first, second = [file for file in CATALOG if file.folder == "diffusion_models"][:2]
    target = models / first.folder
    part, final = partial_path(target, first, "id"), target / first.name
    part.parent.mkdir(parents=True)
    part.write_bytes(data)
    publish(part, final)
    assert final.read_bytes() == data
    next_part = partial_path(target, second, "id")
    clean_staging(target, second, next_part)
    assert part.exists(), "still held: the next download of this folder goes on all the same"
    next_part.write_bytes(b"a part")
    held_partials.undo()
    clean_staging(target, second, next_part)
    assert partials(models) == [next_part.name]
    assert final.read_bytes() == data


def test_a_copy_that_has_its_name_is_complete_though_its_partial_name_stays_for_now(
    models: Path, wanted: dict[str, object], data: bytes, held_partials: pytest.MonkeyPatch
) -> None:
    (models / "vae" / "copy.safetensors").write_bytes(data)
    link = os.link

    def no_link_of_the_copy(source: str | Path, target: Path) -> None:
        if Path(source).name == "copy.safetensors":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    held_partials.setattr(os, "link", no_link_of_the_copy)
    fetch_files([CatalogFile(**wanted)], lambda folder: [str(models / folder)], Control(Progress()))  # type: ignore[arg-type]
    assert wrong_files(models, {NAME: data, "copy.safetensors": data}) == []
    assert len(partials(models)) == 1


def test_a_failing_disk_is_not_called_a_broken_connection() -> None:
    error = explain(OSError(errno.EIO, os.strerror(errno.EIO)), CATALOG[0])
    assert error.kind == "disk_failed"
    assert CATALOG[0].name in str(error)
    assert "connection" not in str(error)


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


def test_too_little_room_is_said_before_a_byte_moves(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object]
) -> None:
    (small_volume / "filler").write_bytes(bytes(60 * MIB))
    end = worker.fetch(small_volume, wanted)
    assert end["error"]["kind"] == "disk_full"
    assert "24 MiB" in end["error"]["message"]
    assert "68 MiB free" in end["error"]["message"]
    assert not hub.sent


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
