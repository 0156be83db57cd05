"""Which folder a download takes: where a part of the file is kept, or a link will do, before one with room for all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from download_fixtures import FOLDER, MIB, NAME, REPO, SIZE, STAGING, Worker, model_bytes, row, wrong_files
from hub import Hub
from qwen_image_loader.planner.catalog_file import CatalogFile
from qwen_image_loader.runtime.download import fetch_files
from qwen_image_loader.runtime.download_control import Control
from qwen_image_loader.runtime.download_errors import DiskFullError
from qwen_image_loader.runtime.download_prepare import Item, prepare
from qwen_image_loader.runtime.download_staging import partial_path
from qwen_image_loader.runtime.download_state import Progress
from qwen_image_loader.runtime.download_target import SPARE_BYTES

KEPT = 15 * MIB
ROOM_FOR_THE_REST = SPARE_BYTES + 12 * MIB
NO_ROOM = SPARE_BYTES + MIB


def keep_part(models: Path, wanted: dict[str, object], data: bytes, content_id: str = "") -> Path:
    """What an earlier attempt left of the file with this content (that of `wanted`) in `models`."""
    part = partial_path(models / FOLDER, CatalogFile(**wanted), content_id or str(wanted["sha256"]))  # type: ignore[arg-type]
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:KEPT])
    return part


def leave_free(volume: Path, free_bytes: int) -> None:
    """Fill a volume up to this many bytes."""
    now = os.statvfs(volume)
    (volume / "filler").write_bytes(bytes(now.f_bavail * now.f_frsize - free_bytes))


def keep_copy(models: Path, data: bytes) -> Path:
    """The same bytes under another name."""
    copy = models / FOLDER / "qwen" / "copy.safetensors"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(data)
    return copy


def test_going_on_needs_room_for_the_rest_only(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object], data: bytes
) -> None:
    keep_part(small_volume, wanted, data)
    leave_free(small_volume, ROOM_FOR_THE_REST)
    end = worker.fetch(small_volume, wanted)
    assert end["finished"], end["error"]
    assert hub.sent[NAME] == SIZE - KEPT
    assert (small_volume / FOLDER / NAME).read_bytes() == data


def test_all_bytes_that_were_left_become_the_file_without_room_and_without_a_byte_of_the_hub(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object], data: bytes
) -> None:
    keep_part(small_volume, wanted, data).write_bytes(data)
    leave_free(small_volume, MIB)
    end = worker.fetch(small_volume, wanted)
    assert end["finished"], end["error"]
    assert (small_volume / FOLDER / NAME).read_bytes() == data
    assert not hub.sent


@pytest.mark.parametrize("is_first", [True, False], ids=["kept in the first folder", "kept in the second folder"])
def test_a_folder_with_room_for_all_does_not_draw_a_download_away_from_what_is_kept(
    is_first: bool, hub: Hub, worker: Worker, small_volume: Path, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    keep_part(small_volume, wanted, data)
    leave_free(small_volume, ROOM_FOR_THE_REST)
    first, second = (small_volume, models) if is_first else (models, small_volume)
    end = worker.fetch(first, wanted, more=second)
    assert end["finished"], end["error"]
    assert hub.sent[NAME] == SIZE - KEPT
    assert (small_volume / FOLDER / NAME).read_bytes() == data
    assert not (models / FOLDER / NAME).exists()


def test_of_two_folders_that_keep_a_part_the_one_with_room_for_the_rest_is_gone_on_with(
    hub: Hub, worker: Worker, small_volume: Path, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    for place in (small_volume, models):
        keep_part(place, wanted, data)
    leave_free(small_volume, NO_ROOM)
    assert worker.fetch(small_volume, wanted, more=models)["finished"]
    assert hub.sent[NAME] == SIZE - KEPT
    assert (models / FOLDER / NAME).read_bytes() == data


def test_a_kept_part_without_room_for_the_rest_is_not_given_up_and_the_message_says_how_to(
    hub: Hub, worker: Worker, small_volume: Path, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    part = keep_part(small_volume, wanted, data)
    leave_free(small_volume, NO_ROOM)
    end = worker.fetch(small_volume, wanted, more=models)
    assert end["error"]["kind"] == "disk_full"
    for words in ("need 9 MiB more", "Free 8 MiB there", f"delete {STAGING} in it (15 MiB of an earlier download)"):
        assert words in end["error"]["message"]
    assert part.stat().st_size == KEPT
    assert not hub.sent
    part.unlink()
    assert worker.fetch(small_volume, wanted, more=models)["finished"]
    assert wrong_files(models, {NAME: data}) == []


def test_a_part_of_what_the_hub_had_earlier_does_not_count(
    hub: Hub, worker: Worker, small_volume: Path, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    keep_part(small_volume, wanted, model_bytes(SIZE, seed=1), content_id="older")
    leave_free(small_volume, ROOM_FOR_THE_REST)
    assert worker.fetch(small_volume, wanted, more=models)["finished"]
    assert hub.sent[NAME] == SIZE
    assert (models / FOLDER / NAME).read_bytes() == data


def test_the_rest_of_one_file_and_all_of_another_are_counted_together(
    hub: Hub, worker: Worker, small_volume: Path, wanted: dict[str, object], data: bytes
) -> None:
    keep_part(small_volume, wanted, data)
    other = row("other.safetensors", 8 * MIB, hub.add(REPO, "split_files/vae/other.safetensors", model_bytes(8 * MIB)))
    leave_free(small_volume, ROOM_FOR_THE_REST)
    end = worker.fetch(small_volume, wanted, other)
    assert end["error"]["kind"] == "disk_full"
    assert "need 17 MiB more" in end["error"]["message"]
    assert not hub.sent


@pytest.mark.parametrize("is_first", [True, False], ids=["copy in the first folder", "copy in the second folder"])
def test_a_link_needs_no_room_and_is_made_where_it_can_be(
    is_first: bool, hub: Hub, worker: Worker, small_volume: Path, models: Path, wanted: dict[str, object], data: bytes
) -> None:
    copy = keep_copy(small_volume, data)
    leave_free(small_volume, NO_ROOM)
    first, second = (small_volume, models) if is_first else (models, small_volume)
    end = worker.fetch(first, wanted, more=second)
    assert end["finished"], end["error"]
    assert (small_volume / FOLDER / NAME).samefile(copy)
    assert copy.stat().st_nlink == 2
    assert not hub.requests
    assert not (models / FOLDER / NAME).exists()


def prepare_one(wanted: dict[str, object], *places: Path) -> Item:
    def find_roots(folder: str) -> list[str]:
        return [str(place / folder) for place in places]

    (item,) = prepare([CatalogFile(**wanted)], find_roots, Control(Progress()))  # type: ignore[arg-type]
    return item


def test_a_volume_that_makes_no_links_needs_room_for_the_copy(
    small_volume: Path, models: Path, wanted: dict[str, object], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    copy = keep_copy(small_volume, data)
    leave_free(small_volume, NO_ROOM)
    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(DiskFullError, match="24 MiB"):
        prepare_one(wanted, small_volume)
    item = prepare_one(wanted, small_volume, models)
    assert (item.source, item.target, item.is_link) == (copy, models / FOLDER, False)


def test_a_link_that_fails_after_all_is_no_copy_without_room(
    small_volume: Path, wanted: dict[str, object], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def no_link_to_final(source: str, target: Path) -> None:
        if target.name == NAME:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target)

    keep_copy(small_volume, data)
    leave_free(small_volume, NO_ROOM)
    monkeypatch.setattr(os, "link", no_link_to_final)
    with pytest.raises(DiskFullError, match="Nothing was fetched"):
        fetch_files([CatalogFile(**wanted)], lambda folder: [str(small_volume / folder)], Control(Progress()))  # type: ignore[arg-type]
    assert list((small_volume / FOLDER / STAGING).glob("*.partial")) == []


def test_finding_out_whether_a_link_can_be_made_leaves_nothing(
    models: Path, wanted: dict[str, object], data: bytes
) -> None:
    copy = keep_copy(models, data)
    assert prepare_one(wanted, models).is_link
    assert copy.stat().st_nlink == 1
    assert list((models / FOLDER / STAGING).iterdir()) == []
