"""Tells whether a file's content may have changed since it was last looked at."""

from __future__ import annotations

import os


def file_stamp(file: str | int) -> tuple[int, int]:
    """(size in bytes, time of the last change in ns) of a path or an open descriptor. Raises OSError."""
    stat = os.stat(file)
    return stat.st_size, stat.st_mtime_ns
