"""How much of a file the system's page cache holds; Linux."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path


def page_cache_share(path: str, spans: Iterable[tuple[int, int]]) -> float:
    """The share of the whole pages in the bytes [first, last) of each span, 0 to 1."""
    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    held = pages = 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        for first, last in spans:
            begin, count = -(-first // page), last // page - -(-first // page)
            if count <= 0:
                continue
            states = (ctypes.c_ubyte * count)()
            start = ctypes.c_char.from_buffer(mapped, begin * page)
            failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(count * page), states)
            del start  # a mapping that is looked at cannot be closed
            if failed:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
            held, pages = held + sum(state & 1 for state in states), pages + count
    return held / pages


def why_it_keeps_all(folder: Path) -> str:
    """The reason why files in `folder` stay in memory whatever the system is told (tmpfs does so), or ""."""
    if sys.platform != "linux":
        return "only Linux tells what its page cache holds"
    probe = folder / "page-cache-probe"
    with probe.open("wb") as file:
        file.write(bytes(64 * mmap.PAGESIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    share = page_cache_share(str(probe), [(0, probe.stat().st_size)])
    probe.unlink()
    return f"the file system of {folder} keeps its files in memory" if share else ""
