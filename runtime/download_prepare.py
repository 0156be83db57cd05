"""Before a byte moves: where each file goes, whether this disk has it already, what the hub says, and the room."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ..planner.catalog_file import CatalogFile
from .download_control import Control
from .download_reuse import cached_sha256, find_in_hub_cache, find_same_bytes, is_same
from .download_staging import is_arrived, kept_bytes, partial_path
from .download_target import FindRoots, check_room_for_all, target_folder
from .download_transfer import RemoteFile, ask_hub


@dataclass(frozen=True, slots=True)
class Item:
    """One file to bring to `target`: from `source` on this disk, or, where that is None, from the hub (`remote`).

    `partial` is where its bytes are collected; only bytes from the hub are gone on with by a later attempt.
    """

    row: CatalogFile
    target: Path
    partial: Path
    size_bytes: int
    sha256: str
    source: Path | None = None
    remote: RemoteFile | None = None

    @property
    def final(self) -> Path:
        return self.target / self.row.name


def prepare(rows: Sequence[CatalogFile], find_roots: FindRoots, control: Control) -> list[Item]:
    """What has to be done for `rows`; rows whose file is there already drop out. Raises DownloadError."""
    places = [(row, _find_place(row, find_roots(row.folder))) for row in rows]
    items = []
    for row, target in places:
        if row.size_is_exact and is_arrived(target / row.name, row.size_bytes):
            continue
        control.progress.begin_file(row.name, 1, 0)
        item = _look_up(row, target, find_roots(row.folder), control)
        if row.size_is_exact or not is_arrived(item.final, item.size_bytes):
            items.append(item)
    _check_room(items)
    return items


def _find_place(row: CatalogFile, roots: list[str]) -> Path:
    for root in map(Path, roots):
        if os.path.lexists(root / row.name):
            return root  # ComfyUI would find that one first: it is the file, or it is in the way
    return target_folder(row, row.size_bytes, roots)


def _look_up(row: CatalogFile, target: Path, roots: list[str], control: Control) -> Item:
    """Without the network where this disk has the file and the catalog or the cache says what its bytes must be."""
    cached = find_in_hub_cache(row)
    copy = partial_path(target, row, f"copy {uuid4().hex}")
    if row.size_is_exact and row.sha256:
        source = find_same_bytes(row, row.size_bytes, row.sha256, cached, roots, control)
        if source:
            return Item(row, target, copy, row.size_bytes, row.sha256, source)
    elif cached and not row.size_is_exact:
        size, sha256 = cached.stat().st_size, cached_sha256(cached)
        if is_same(cached, size, sha256, control):
            return Item(row, target, copy, size, sha256, cached)
    remote = ask_hub(row, control)
    if not row.sha256:
        source = find_same_bytes(row, remote.size_bytes, remote.sha256, cached, roots, control)
        if source:
            return Item(row, target, copy, remote.size_bytes, remote.sha256, source)
    partial = partial_path(target, row, remote.content_id)
    return Item(row, target, partial, remote.size_bytes, remote.sha256, None, remote)


def _check_room(items: list[Item]) -> None:
    needed: dict[Path, int] = {}
    for item in items:
        if item.source is None or os.stat(item.source).st_dev != os.stat(item.target).st_dev:
            more = max(0, item.size_bytes - kept_bytes(item.partial))
            needed[item.target] = needed.get(item.target, 0) + more
    check_room_for_all(needed, [item.row for item in items])
