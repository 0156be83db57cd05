"""What a download shows while it runs: file k of n, bytes, speed, time left; and how it ended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..planner.memory import gib

SPEED_WINDOW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class DownloadState:
    """One moment of a download. `index` counts from 1; `error` is None or {"kind", "message"}.

    `files` are the names of all that it fetches. `note` says what happens instead of receiving bytes
    ("checking ...", "waiting ..."), or is "".
    """

    running: bool = False
    file: str = ""
    index: int = 0
    count: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float = 0.0
    seconds_left: float | None = None
    error: dict[str, str] | None = None
    finished: bool = False
    cancelled: bool = False
    note: str = ""
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, fit for json.dumps."""
        return asdict(self)

    def text(self) -> str:
        """One line for the node, the log and the command line."""
        parts = [f"{self.file} ({self.index} of {self.count})"] if self.file else []
        if self.note:
            parts.append(self.note)
        if self.total_bytes:
            parts.append(f"{gib(self.done_bytes)} of {gib(self.total_bytes)}")
        if self.bytes_per_second >= 1:
            parts.append(f"{gib(self.bytes_per_second)}/s")
        if self.seconds_left is not None:
            parts.append(f"{_duration(self.seconds_left)} left")
        return ", ".join(parts) or "starting"


class Progress:
    """The counters behind the state: written by the download's thread, read by any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file, self._index, self._note = "", 0, ""
        self._files: tuple[str, ...] = ()
        self._before_file = self._in_file = self._total = 0
        self._received: deque[tuple[float, int]] = deque()

    def plan_for(self, files: Iterable[str]) -> None:
        """The whole download is of files with these names."""
        with self._lock:
            self._files = tuple(files)

    def begin(self, total_bytes: int) -> None:
        """All files together have `total_bytes`."""
        with self._lock:
            self._total = total_bytes

    def begin_file(self, name: str, index: int, bytes_before: int) -> None:
        """File `index` (from 1) starts; the files before it had `bytes_before`."""
        with self._lock:
            self._file, self._index, self._note = name, index, ""
            self._before_file, self._in_file = bytes_before, 0

    def note(self, text: str) -> None:
        """What happens now instead of receiving bytes; "" when bytes come again."""
        with self._lock:
            self._note = text

    def set_done(self, in_file: int, received: int = 0) -> None:
        """`in_file` bytes of the file are there; `received` of them came over the network just now."""
        now = time.monotonic()
        with self._lock:
            self._in_file = in_file
            if received:
                self._note = ""
                self._received.append((now, received))

    def state(self) -> DownloadState:
        """The present moment of a running download."""
        with self._lock:
            speed = self._speed()
            done = min(self._before_file + self._in_file, self._total)
            left = (self._total - done) / speed if speed > 0 else None
            return DownloadState(
                running=True,
                file=self._file,
                index=self._index,
                count=len(self._files),
                done_bytes=done,
                total_bytes=self._total,
                bytes_per_second=round(speed, 1),
                seconds_left=None if left is None else round(left, 1),
                note=self._note,
                files=self._files,
            )

    def _speed(self) -> float:
        now = time.monotonic()
        while len(self._received) > 1 and now - self._received[0][0] > SPEED_WINDOW_SECONDS:
            self._received.popleft()
        if len(self._received) < 2:
            return 0.0
        first = self._received[0][0]
        # The bytes of the oldest sample arrived before its time stamp.
        return sum(n for _, n in list(self._received)[1:]) / max(now - first, 1e-3)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
