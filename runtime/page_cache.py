"""Tells the operating system which parts of a file it is to have in its memory, and which need not stay there."""

from __future__ import annotations

import os
from collections.abc import Iterable

WINDOW_BYTES = 8 * 1024**2  # by how much Linux reads ahead where much is set (read_ahead_kb); 128 KiB is common
ASKED_BYTES = 4 * 1024**2  # Linux starts to read no more at a time than its window; whole pages from here on


def forget(path: str, spans: Iterable[tuple[int, int]]) -> None:
    """Give up what the page cache holds of the bytes [first, last), if the system can.

    A file that is gone is nothing to forget.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        with open(path, "rb", buffering=0) as file:
            for first, last in spans:
                os.posix_fadvise(file.fileno(), first, last - first, os.POSIX_FADV_DONTNEED)
    except OSError:
        return


def fetch(path: str, spans: Iterable[tuple[int, int]]) -> None:
    """Start to read the bytes [first, last), all at once, if the system can; does not wait.

    For small pieces here and there: whoever looks at one after the other waits for the disk at each.
    A file that is gone is nothing to read.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        with open(path, "rb", buffering=0) as file:
            for first, last in spans:
                os.posix_fadvise(file.fileno(), first, last - first, os.POSIX_FADV_WILLNEED)
    except OSError:
        return


def fetch_end(file: int, first: int, last: int) -> None:
    """Start to read the end of the bytes [first, last) of an open file, if the system can.

    Linux reads up to two windows further than it is asked to, and what is behind the end may not be needed at all.
    Where the end is in memory, or on its way there, it does not go on behind it.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    begin = max(first, last - 2 * WINDOW_BYTES)
    for edge in range(begin - begin % ASKED_BYTES, last, ASKED_BYTES):
        start, end = max(begin, edge), min(last, edge + ASKED_BYTES)
        os.posix_fadvise(file, start, end - start, os.POSIX_FADV_WILLNEED)
