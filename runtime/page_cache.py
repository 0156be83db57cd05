"""Tells the operating system which parts of a file need not stay in its memory any more."""

from __future__ import annotations

import os
from collections.abc import Iterable


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
