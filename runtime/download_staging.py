"""The staging folder: where a file lies until it is whole. It is inside the target folder, so on the same volume.

Nothing in it ends in .safetensors, so ComfyUI never lists it. A partial file's name says which bytes it is a part of
(the catalog name and the hub's content id), so a later attempt knows whether it may go on with it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from ..planner.catalog import find_catalog_file
from ..planner.catalog_file import CatalogFile
from ..planner.safetensors_header import LENGTH_BYTES, BadFileError, SafetensorsHeader, header_length, parse_header
from .download_errors import NameTakenError
from .log import log

STAGING = ".qwen-image-loader-partial"
SUFFIX = ".partial"
LOCK = "lock"
NO_LOCKS_ERRORS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of network drives
KEEP_SECONDS = 14 * 24 * 3600


class StagingLock:
    """One download per staging folder, among all ComfyUI processes that share it. Any thread may release it."""

    def __init__(self, staging: Path) -> None:
        from filelock import FileLock

        self._staging = staging
        self._lock = FileLock(staging / LOCK, thread_local=False)

    def take(self) -> bool:
        """Make the staging folder and have it, if no other process does; does not wait."""
        from filelock import Timeout

        self._staging.mkdir(exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS_ERRORS:
                raise
            log.warning("This file system has no locks: do not download with two ComfyUI at the same time.")
        return True

    def release(self) -> None:
        self._lock.release(force=True)


def staging_of(target: Path) -> Path:
    return target / STAGING


def partial_path(target: Path, row: CatalogFile, content_id: str) -> Path:
    """Where the bytes named by `content_id` (the hub's etag) are collected for `row`."""
    key = hashlib.sha256(content_id.encode()).hexdigest()[:16]
    return staging_of(target) / f"{row.name}.{key}{SUFFIX}"


def clean_staging(target: Path, row: CatalogFile, wanted: Path) -> None:
    """Remove leftovers that no attempt can use: of other content for `row`, of files that are there, of long ago.

    One that cannot be removed now (on Windows: another program reads it) waits for a later download.
    """
    for path in staging_of(target).glob(f"*{SUFFIX}"):
        name = path.name.removesuffix(SUFFIX).rpartition(".")[0]
        outdated = name == row.name and path != wanted
        arrived = find_catalog_file(name) is not None and name != row.name and (target / name).exists()
        with suppress(OSError):
            if outdated or arrived or time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink()
                log.info("Removed the leftover %s of an earlier download.", path.name)


def kept_bytes(partial: Path) -> int:
    """Bytes of an earlier attempt, 0 if there are none."""
    return os.path.getsize(partial) if os.path.exists(partial) else 0


def check_whole(path: Path) -> SafetensorsHeader:
    """The header of a finished file. Raises BadFileError where it is not exactly as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES), size)
        return parse_header(file.read(length), size)


def what_is_it(path: Path) -> str:
    """A file that is in the way, in words."""
    if path.is_symlink() and not path.exists():
        return "a link to something that is not there"
    if not path.is_file():
        return "a folder"
    size = path.stat().st_size
    try:
        check_whole(path)
    except BadFileError as error:
        return f"a file of {size:,} bytes that cannot be used ({error})"
    return f"an intact model file of {size:,} bytes with other content"


def is_arrived(final: Path, size_bytes: int) -> bool:
    """True if the final name holds a whole file of exactly this size, False if nothing is there.

    Raises NameTakenError when something else has that name.
    """
    if not os.path.lexists(final):
        return False
    if final.is_file() and final.stat().st_size == size_bytes:
        try:
            check_whole(final)
            return True
        except BadFileError:
            pass
    raise name_taken(final)


def name_taken(final: Path) -> NameTakenError:
    place = f"models/{final.parent.name}/{final.name}"
    return NameTakenError(
        f"{place} is already there and is {what_is_it(final)}. It was not touched. Move it away or delete it, "
        "then start the download again."
    )


def publish(partial: Path, final: Path) -> None:
    """Give a whole file its final name in one step. Raises NameTakenError when the name was taken meanwhile."""
    try:
        os.link(partial, final)
    except FileExistsError as error:
        raise name_taken(final) from error
    except OSError:  # a volume without hard links
        if os.path.lexists(final):
            raise name_taken(final) from None
        os.rename(partial, final)
        return
    with suppress(OSError):  # on Windows a virus scanner may hold it; the file is there, clean_staging comes by later
        partial.unlink()
