"""What a running download is steered by from other threads: stop it, and how patient it is with the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .download_errors import StoppedError
from .download_state import Progress

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try again. Waits double from `first_wait_seconds`.

    A download that has received something is worth more tries than one that never began.
    """

    first_wait_seconds: float = 1.0
    most_wait_seconds: float = 30.0
    tries_at_first: int = 3
    tries_later: int = 10
    longest_wait_seconds: float = 600.0

    def wait_before(self, attempt: int) -> float:
        """Seconds to wait before the `attempt`-th further try (from 1)."""
        return min(self.most_wait_seconds, self.first_wait_seconds * 2 ** (attempt - 1))

    def tries(self, has_bytes: bool) -> int:
        return self.tries_later if has_bytes else self.tries_at_first


class Control:
    """Handed down to everything that works in the download's thread."""

    def __init__(self, progress: Progress, patience: Patience | None = None) -> None:
        self.progress = progress
        self.patience = patience or Patience()
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._on_stop: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raises StoppedError when the download was told to stop."""
        if self._stop.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up and raise StoppedError when told to stop."""
        if self._stop.wait(seconds):
            raise StoppedError

    def note(self, text: str) -> None:
        self.progress.note(text)

    def unless_stopped(self, action: Callable[[], Result]) -> Result:
        """`action()`, or StoppedError; it is over when `stop()` returns. For what is brief and leaves something."""
        with self._lock:
            self.check()
            return action()

    def on_stop(self, action: Callable[[], None]) -> None:
        """`action` releases something the moment `stop()` is called, also while the download's thread is stuck."""
        with self._lock:
            self.check()
            self._on_stop.append(action)

    def done_with(self, action: Callable[[], None]) -> None:
        """The thing was released in the ordinary way."""
        with self._lock:
            if action in self._on_stop:
                self._on_stop.remove(action)

    def stop(self) -> None:
        """From any thread. When this returns, files and locks are free and nothing is written any more."""
        with self._lock:
            self._stop.set()
            while self._on_stop:
                self._on_stop.pop()()
