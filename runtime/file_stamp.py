"""Tells whether a file's content may have changed since it was last looked at."""

from __future__ import annotations

import os


def file_stamp(path: str) -> tuple[int, int]:
    """(size in bytes, time of the last change in ns). Raises OSError."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns
