"""Tells the operating system which parts of a file it is to have in its memory, and which need not stay there."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable

# By how much Linux reads ahead where much is set (read_ahead_kb; 128 KiB is common), and what it starts to read at
# a time when it is asked to.
WINDOW_BYTES = 8 * 1024**2
_NEED_NOT_STAY = "POSIX_FADV_DONTNEED"
_WILL_NEED = "POSIX_FADV_WILLNEED"  # systems without the call lack the numbers, too


def forget(path: str, spans: Iterable[tuple[int, int]]) -> None:
    """Give up what the page cache holds of the bytes [first, last), if the system can.

    A file that is gone is nothing to forget.
    """
    _advise_file(path, spans, _NEED_NOT_STAY)


def forget_open(file: int, spans: Iterable[tuple[int, int]]) -> None:
    """Like `forget`, of an open file."""
    _advise(file, spans, _NEED_NOT_STAY)


def fetch(path: str, spans: Iterable[tuple[int, int]]) -> None:
    """Start to read the bytes [first, last), all at once, if the system can; does not wait.

    For small pieces here and there: whoever looks at one after the other waits for the disk at each.
    A file that is gone is nothing to read.
    """
    _advise_file(path, spans, _WILL_NEED)


def fetch_end(file: int, first: int, last: int) -> None:
    """Start to read the end of the bytes [first, last) of an open file, if the system can.

    Linux reads up to two windows further than it is asked to, and what is behind the end may not be needed at all.
    Where the end is in memory, or on its way there, it does not go on behind it.
    """
    begin = max(first, last - 2 * WINDOW_BYTES)
    begin += -begin % mmap.PAGESIZE
    _advise(file, ((edge, min(last, edge + WINDOW_BYTES)) for edge in range(begin, last, WINDOW_BYTES)), _WILL_NEED)


def _advise_file(path: str, spans: Iterable[tuple[int, int]], advice: str) -> None:
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        _advise(file.fileno(), spans, advice)


def _advise(file: int, spans: Iterable[tuple[int, int]], advice: str) -> None:
    if hasattr(os, "posix_fadvise"):
        for first, last in spans:
            os.posix_fadvise(file, first, last - first, getattr(os, advice))
