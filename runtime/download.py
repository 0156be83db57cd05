"""Fetches catalog files into the model folders.

1. The name of each file is free in all its folders, or holds the file already; one of the folders can be written.
2. Use what this disk has: the same bytes under another name, or in the Hugging Face cache (size, then sha256).
3. Ask the hub for the size, hash and commit of the rest, and refuse where that is not the file the catalog knows.
4. Choose the folder of each file: where it can be a link or an earlier attempt left a part of it, else the first that
   has room for all of it.
5. Check the room for everything, on each volume. Until here not one byte of a file has moved (download_prepare).
6. File by file, holding the lock of the target's staging folder, so that of two ComfyUI that want it one fetches:
   a. another process may have brought it meanwhile: then it is there;
   b. go on with what an earlier attempt left, or start; the bytes go through a Sink, which counts and hashes them;
   c. check size, sha256 and header; a wrong hash after a resumed transfer earns one fresh start;
   d. give the file its final name in one step. It never has it before, and never replaces a file of that name.

Stopping keeps the partial file: the next attempt goes on with it. Runs in a thread of its own and knows nothing of
ComfyUI: the folders are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ..planner.catalog_file import CatalogFile
from ..planner.memory import gib
from ..planner.safetensors_header import BadFileError
from .download_control import Control
from .download_errors import DamagedFileError, DownloadError, WrongHashError
from .download_explain import by_hand, explain
from .download_prepare import Item, prepare
from .download_sink import BLOCK_BYTES, Sink
from .download_staging import (
    StagingLock,
    check_whole,
    clean_staging,
    is_arrived,
    kept_bytes,
    name_taken,
    publish,
    staging_of,
)
from .download_target import FindRoots, check_room
from .download_transfer import transfer
from .log import log

POLL_SECONDS = 0.25  # between two attempts to have the staging folder


def fetch_files(rows: Sequence[CatalogFile], find_roots: FindRoots, control: Control) -> None:
    """Bring `rows` into the folders that `find_roots(row.folder)` names, best first; what is there is left alone.

    Raises DownloadError (see download_errors; files that arrived before it stay) and StoppedError.
    """
    control.progress.begin(sum(row.size_bytes for row in rows))
    items = prepare(rows, find_roots, control)
    control.progress.begin(sum(item.size_bytes for item in items))
    before = 0
    for index, item in enumerate(items, 1):
        control.progress.begin_file(item.row.name, index, before)
        try:
            _bring(item, control)
        except DownloadError:
            raise
        except OSError as error:
            control.check()
            raise explain(error, item.row) from error
        before += item.size_bytes


def _bring(item: Item, control: Control) -> None:
    lock = StagingLock(staging_of(item.target))
    try:
        while not control.unless_stopped(partial(_take, lock, control)):
            control.note("waiting for another ComfyUI that downloads into this folder")
            control.wait(POLL_SECONDS)
        control.note("")
        if is_arrived(item.final, item.size_bytes):
            log.info("models/%s/%s is there already: another ComfyUI brought it.", item.row.folder, item.row.name)
        elif item.source:
            _use(item.source, item, control)
        else:
            _download(item, control)
    finally:
        control.done_with(lock.release)
        lock.release()


def _take(lock: StagingLock, control: Control) -> bool:
    is_taken = lock.take()
    if is_taken:
        control.on_stop(lock.release)
    return is_taken


def _use(source: Path, item: Item, control: Control) -> None:
    """Bring bytes that are on this disk: a hard link on the same volume, otherwise a copy."""
    try:
        control.unless_stopped(partial(os.link, os.path.realpath(source), item.final))
        log.info("%s was on this disk as %s: linked, not fetched.", item.row.name, source)
        return
    except FileExistsError as error:
        raise name_taken(item.final) from error
    except OSError:
        log.info("%s is on another disk as %s: copying it, nothing is fetched.", item.row.name, source)
    control.unless_stopped(partial(clean_staging, item.target, item.row, item.partial))
    check_room(item.target, item.size_bytes, item.row)
    control.note("copying it from another disk of this computer")
    sink = _open_sink(item, control)
    try:
        with source.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                sink.write(block)
        _finish(sink, item, control)
    finally:
        _close(sink, control)
        with suppress(OSError):  # a name of this attempt's own: it is in nobody's way
            item.partial.unlink(missing_ok=True)


def _download(item: Item, control: Control) -> None:
    row = item.row
    control.unless_stopped(partial(clean_staging, item.target, row, item.partial))
    note = f" ({row.licence_note})" if row.licence_note else ""
    log.info(
        "Fetching %s (%s) from %s into models/%s. Licence: %s%s.",
        row.name, gib(item.size_bytes), row.repo, row.folder, row.licence, note,
    )  # fmt: skip
    kept = kept_bytes(item.partial)
    try:
        _receive(item, control)
    except WrongHashError:
        if not kept:
            raise
        log.warning("%s: what an earlier attempt left was damaged, starting over.", row.name)
        _receive(item, control)


def _receive(item: Item, control: Control) -> None:
    """One attempt, from what is there to the final name. Bytes that turn out wrong are removed."""
    if item.remote is None:
        raise ValueError(f"{item.row.name} was not looked up on the hub")
    kept = kept_bytes(item.partial)
    check_room(item.target, item.size_bytes - kept, item.row, kept)
    sink = _open_sink(item, control)
    try:
        if kept:
            log.info("%s: %s of it are there from an earlier attempt.", item.row.name, gib(kept))
            control.note("checking what an earlier attempt brought")
            sink.read_what_is_there()
        transfer(item.row, item.remote, sink, control)
        _finish(sink, item, control)
    except (WrongHashError, DamagedFileError):
        _close(sink, control)
        control.unless_stopped(partial(item.partial.unlink, missing_ok=True))
        raise
    finally:
        _close(sink, control)


def _open_sink(item: Item, control: Control) -> Sink:
    def open_and_hold() -> Sink:
        sink = Sink(item.partial, item.size_bytes, bool(item.sha256), control.progress.set_done)
        control.on_stop(sink.stop)
        return sink

    return control.unless_stopped(open_and_hold)


def _close(sink: Sink, control: Control) -> None:
    control.done_with(sink.stop)
    sink.close()


def _finish(sink: Sink, item: Item, control: Control) -> None:
    """Checks the bytes and gives them their name. Raises WrongHashError and DamagedFileError."""
    row = item.row
    control.note("checking it")
    if item.sha256 and sink.sha256() != item.sha256:
        raise WrongHashError(
            f"{row.name} arrived with other bytes than the hub announced (sha256 {sink.sha256()[:12]}... instead of "
            f"{item.sha256[:12]}...), so it was removed. Try again; if it happens again, a proxy or mirror changes it: "
            f"{by_hand(row)}"
        )
    try:
        check_whole(item.partial)
    except BadFileError as error:
        raise DamagedFileError(
            f"{row.name} arrived, but cannot be used: {error}. It was removed. Try again later, or {by_hand(row)}"
        ) from error
    sink.to_disk()
    _close(sink, control)
    control.unless_stopped(partial(publish, item.partial, item.final))
    log.info("models/%s/%s is complete (%s).", row.folder, row.name, gib(item.size_bytes))
