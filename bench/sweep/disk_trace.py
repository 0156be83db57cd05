"""How long the disk rested in a run, from the bytes that had been read at moments of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

RESTS_BELOW = 100e6  # bytes a second; disks that hold models read many times as much
Sample = tuple[float, int]  # seconds on any clock, bytes read from the disk so far


def disk_rest(samples: Sequence[Sample]) -> tuple[float | None, float | None]:
    """(seconds that the disk rested before it read for the last time, seconds after that), from begin to end of a run.

    (None, None) where nothing worth mentioning was read.
    """
    spans = [(later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in pairwise(samples)]
    is_busy = [seconds > 0 and read / seconds >= RESTS_BELOW for seconds, read in spans]
    if True not in is_busy:
        return None, None
    last = len(is_busy) - 1 - is_busy[::-1].index(True)
    rest = sum(seconds for (seconds, _), busy in zip(spans[:last], is_busy, strict=False) if not busy)
    return rest, sum(seconds for seconds, _ in spans[last + 1 :])
