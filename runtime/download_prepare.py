"""Before a byte moves: whether this disk has each file already, what the hub says, where it goes, and the room."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from ..planner.catalog_file import CatalogFile
from .download_control import Control
from .download_reuse import cached_sha256, find_in_hub_cache, find_same_bytes, is_same
from .download_staging import is_arrived, kept_bytes, partial_path
from .download_target import FindRoots, can_link, check_room_for_all, has_room, is_writable, target_folder
from .download_transfer import RemoteFile, ask_hub


class Found(NamedTuple):
    """What a missing file is, and where its bytes come from: `source` on this disk, else the hub (`remote`)."""

    size_bytes: int
    sha256: str
    source: Path | None = None
    remote: RemoteFile | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One file to bring to `target`: from `source` on this disk, or, where that is None, from the hub (`remote`).

    `partial` is where its bytes are collected; only bytes from the hub are gone on with by a later attempt.
    `is_link`: a hard link to `source` will do, which needs no room.
    """

    row: CatalogFile
    target: Path
    partial: Path
    size_bytes: int
    sha256: str
    source: Path | None = None
    remote: RemoteFile | None = None
    is_link: bool = False

    @property
    def final(self) -> Path:
        return self.target / self.row.name


def prepare(rows: Sequence[CatalogFile], find_roots: FindRoots, control: Control) -> list[Item]:
    """What has to be done for `rows`; rows whose file is there already drop out. Raises DownloadError."""
    missing = []
    for row in rows:
        roots = find_roots(row.folder)
        named = _find_name(row, roots)
        if named is None:
            target_folder(row, 0, roots)  # where nothing can be written, that is said before anything is asked
        if named is None or not row.size_is_exact or not is_arrived(named, row.size_bytes):
            missing.append((row, roots, named))
    items = []
    for row, roots, named in missing:
        control.progress.begin_file(row.name, 1, 0)
        found = _look_up(row, roots, control)
        if named is None or not is_arrived(named, found.size_bytes):
            items.append(_place(row, found, roots, control))
    _check_room(items)
    return items


def _find_name(row: CatalogFile, roots: list[str]) -> Path | None:
    """What has the row's name already; ComfyUI would find that one first: it is the file, or it is in the way."""
    return next((path for root in roots if os.path.lexists(path := Path(root, row.name))), None)


def _look_up(row: CatalogFile, roots: list[str], control: Control) -> Found:
    """Without the network where this disk has the file and the catalog or the cache says what its bytes must be."""
    cached = find_in_hub_cache(row)
    if row.size_is_exact and row.sha256:
        source = find_same_bytes(row, row.size_bytes, row.sha256, cached, roots, control)
        if source:
            return Found(row.size_bytes, row.sha256, source)
    elif cached and not row.size_is_exact:
        size, sha256 = cached.stat().st_size, cached_sha256(cached)
        if is_same(cached, size, sha256, control):
            return Found(size, sha256, cached)
    remote = ask_hub(row, control)
    source = None if row.sha256 else find_same_bytes(row, remote.size_bytes, remote.sha256, cached, roots, control)
    return Found(remote.size_bytes, remote.sha256, source, remote)


def _place(row: CatalogFile, found: Found, roots: list[str], control: Control) -> Item:
    """Where a part of the file is kept, or it can be linked to, is better than an earlier folder with room for all."""
    size, sha256, source, remote = found
    if source:
        links = (Path(root) for root in roots if control.unless_stopped(partial(can_link, source, Path(root), row)))
        link = next(links, None)
        target = link or target_folder(row, size, roots)
        copy = partial_path(target, row, f"copy {uuid4().hex}")
        return Item(row, target, copy, size, sha256, source, is_link=link is not None)
    if remote is None:
        raise ValueError(f"{row.name} was not looked up on the hub")
    target = _find_begun(row, remote, roots) or target_folder(row, size, roots)
    return Item(row, target, partial_path(target, row, remote.content_id), size, sha256, remote=remote)


def _find_begun(row: CatalogFile, remote: RemoteFile, roots: list[str]) -> Path | None:
    """The first of `roots` that keeps a part of these very bytes, best with room for the rest; None if none does."""
    kept = {root: kept_bytes(partial_path(root, row, remote.content_id)) for root in map(Path, roots)}
    begun = [root for root in kept if kept[root] and is_writable(root, row)]
    return next((root for root in begun if has_room(root, remote.size_bytes - kept[root])), next(iter(begun), None))


def _check_room(items: list[Item]) -> None:
    needed: dict[Path, int] = {}
    kept: dict[Path, int] = {}
    for item in items:
        if not item.is_link:
            here = kept_bytes(item.partial)
            needed[item.target] = needed.get(item.target, 0) + max(0, item.size_bytes - here)
            kept[item.target] = kept.get(item.target, 0) + here
    check_room_for_all(needed, kept, [item.row for item in items])
