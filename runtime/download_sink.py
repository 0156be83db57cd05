"""The file that downloaded bytes are written to: it counts, hashes beside the transfer, and can be stopped at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from .download_errors import StoppedError

BLOCK_BYTES = 8 * 1024 * 1024
FLUSH_BYTES = 128 * 1024 * 1024


class Overflow(Exception):
    """More bytes came than the file has: the server ignored the request to go on in the middle."""


class Sink:
    """What huggingface_hub's `http_get` needs of a file (write, seek, tell, truncate, name), and more.

    After `stop()` returned, no other thread changes the file any more, so a next attempt may go on with it even while
    a stuck connection still holds the old thread. The sha256 of all bytes is computed in a thread beside the transfer.
    `on_bytes(position, new)` is called after every write.
    """

    def __init__(self, path: Path, size_bytes: int, wants_hash: bool, on_bytes: Callable[[int, int], None]) -> None:
        self.name = str(path)
        self._size = size_bytes
        self._on_bytes = on_bytes
        self._wants_hash = wants_hash
        self._digest = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, "qwen-image-loader-sha256")
        self._hashing: Future[None] | None = None
        self._flusher = ThreadPoolExecutor(1, "qwen-image-loader-flush")
        self._flushing: Future[None] | None = None
        self._flushed = 0
        self._lock = threading.Lock()
        self._stopped = False
        # Unbuffered: what was written is in the file, and closing a file on a full disk cannot fail.
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._position = 0

    def read_what_is_there(self) -> int:
        """Take over the bytes of an earlier attempt: hash them and stand behind them. Returns how many."""
        while self._position < self._size:
            with self._lock:
                self._check()
                block = self._file.read(min(BLOCK_BYTES, self._size - self._position))
                if not block:
                    break
                self._take(block)
            self._on_bytes(self._position, 0)
        with self._lock:
            self._check()
            self._file.seek(self._position)
            self._file.truncate()
        return self._position

    def write(self, data: bytes) -> int:
        with self._lock:
            self._check()
            if self._position + len(data) > self._size:
                raise Overflow
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._take(data)
            self._flush_beside()
        self._on_bytes(self._position, len(data))
        return len(data)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only to the start or to where it stands: the library starts over when a server cannot resume."""
        with self._lock:
            self._check()
            if whence != 0 or offset not in (0, self._position):
                raise ValueError(f"cannot seek to {offset}")
            if offset == 0 and self._position:
                self._wait_for_hash()
                self._digest = hashlib.sha256()
            self._position = self._flushed = self._file.seek(offset)
        return offset

    def truncate(self) -> int:
        with self._lock:
            self._check()
            return self._file.truncate(self._position)

    def flush(self) -> None:
        """Nothing is buffered."""

    def to_disk(self) -> None:
        """Return when the bytes would survive a power cut. Raises OSError when the disk could not take them."""
        if self._flushing is not None:
            self._flushing.result()
        with self._lock:
            self._check()
            os.fsync(self._file.fileno())

    def sha256(self) -> str:
        """Lower-case hex of all bytes so far."""
        self._wait_for_hash()
        return self._digest.hexdigest()

    def stop(self) -> None:
        """From any thread: nothing is written from now on; the thread that writes gets a StoppedError."""
        with self._lock:
            self._stopped = True
            self._close()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._file.close()
        self._pool.shutdown(wait=False)
        self._flusher.shutdown(wait=False)

    def _check(self) -> None:
        if self._stopped:
            raise StoppedError

    def _take(self, data: bytes) -> None:
        self._position += len(data)
        if self._wants_hash:
            self._wait_for_hash()  # one block at a time: memory stays flat
            self._hashing = self._pool.submit(self._digest.update, data)

    def _flush_beside(self) -> None:
        """Let the disk work while the network does, so that little is left to flush at the end."""
        if self._position - self._flushed < FLUSH_BYTES or (self._flushing and not self._flushing.done()):
            return
        if self._flushing:
            self._flushing.result()  # an error of the disk is reported once only: here
        self._flushed = self._position
        self._flushing = self._flusher.submit(os.fsync, self._file.fileno())

    def _wait_for_hash(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None
