"""Reads the model files of a run into the page cache before they are needed, in the order in which they are.

ComfyUI with dynamic VRAM reads a layer when it is about to run, so the disk rests while memory is pinned, weights are
patched and the card computes. One thread here keeps it busy meanwhile. What it reads, ComfyUI then finds in memory;
what ComfyUI has come to already is left out, so no byte is read twice. Where RAM is scarce, what the run has left
behind and ComfyUI has copies of is given up; what ComfyUI tells the system to give up mostly stays where that
keeps files in large pieces (Linux 6.18, ext4: 95 % of what is read 2 MiB by 2 MiB), and would push out what was read
ahead.

After each call to the system the thread may wait up to 5 ms for Python's interpreter lock while the run computes, and
the disk then rests as soon as it has done what was asked. So the thread calls seldom: it reads large pieces, opens each
file once and asks for the RAM that is left now and then. It gives way to whatever else wants the processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from itertools import accumulate
from typing import Any

import torch

from .give_way import give_way
from .log import log
from .page_cache import fetch_end, forget_open

CHUNK_BYTES = 64 * 1024**2
LEAD_SECONDS = 0.5  # how long a lead is good for
IN_USE_BYTES = 1024**3  # of what counts as available, the libraries' own code cannot be spared
IDLE_SECONDS = 300.0  # nobody needed the next part for so long: the run went another way

_latest: ReadAhead | None = None


def lead_for(available_bytes: int) -> int:
    """How much may wait for its use with so much RAM available at the moment: half of what can be spared.

    ComfyUI's own copies take up ever more of it, and what was read too early would be pushed out and read again.
    """
    return max(0, available_bytes - IN_USE_BYTES) // 2


@dataclass(frozen=True)
class Part:
    """The bytes [first, last) of a file that layer `number` of the model in the role `role` needs."""

    role: str
    number: int
    path: str
    spans: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        return sum(last - first for first, last in self.spans)


class ReadAhead:
    """One pass over `parts`, at most `lead_bytes()` ahead of what the run has left behind, asked every half second.

    A context for the time in which the files are loaded: it begins to read, which ends what an earlier one still read,
    and stops when loading fails. What the run has left behind of the roles `gives_up` the page cache is to give up.
    """

    def __init__(self, parts: Sequence[Part], lead_bytes: Callable[[], int], gives_up: Collection[str] = ()) -> None:
        self.read_bytes = 0
        self._parts = parts
        self._index = {(part.role, part.number): index for index, part in enumerate(parts)}
        self._begins = list(accumulate((part.nbytes for part in parts), initial=0))
        self._lead_bytes = lead_bytes
        self._lead, self._lead_until = 0, 0.0
        self._gives_up = frozenset(gives_up)
        self._needed = -1  # the last part that the run has come to
        self._done = 0  # so many parts are left behind
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="qwen-image-loader read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead:
        global _latest
        if _latest is not None:
            _latest.stop()
        _latest = self
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stop()

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadAhead:
        return self

    def stop(self) -> None:
        """Read nothing more; does not wait."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, timeout: float | None = None) -> None:
        """Wait until everything is read, left behind or stopped."""
        self._thread.join(timeout)

    @property
    def is_reading(self) -> bool:
        """Whether there is, or may be, something left to do."""
        return self._thread.is_alive()

    def reached(self, role: str, number: int) -> None:
        """The run needs this part now: what comes before it is done with, and it is not read ahead any more."""
        index = self._index.get((role, number), -1)
        self._move(needed=index, done=index)

    def passed(self, role: str) -> None:
        """The run is done with the whole file of a role."""
        last = max((index for (name, _), index in self._index.items() if name == role), default=-1)
        self._move(needed=last, done=last + 1)

    def watch(self, role: str, layers: Iterable[torch.nn.Module]) -> None:
        """Notice when each layer runs for the first time; with the last one's end the file is done with.

        Before anything else that happens before a layer: what brings its weights to the card is the one that reads.
        """
        layers = list(layers) if any(part.role == role for part in self._parts) else []
        for number, layer in enumerate(layers):
            self._once(partial(layer.register_forward_pre_hook, prepend=True), partial(self.reached, role, number))
        if layers:
            self._once(layers[-1].register_forward_hook, partial(self.passed, role))

    def _once(self, register: Callable[..., Any], act: Callable[[], None]) -> None:
        def hook(*_: Any) -> None:
            if not torch.compiler.is_compiling():
                handle.remove()
                act()

        handle = register(hook)

    def _move(self, needed: int, done: int) -> None:
        with self._changed:
            self._needed, self._done = max(self._needed, needed), max(self._done, done)
            self._changed.notify()

    def _run(self) -> None:
        give_way()
        buffer = memoryview(torch.empty(CHUNK_BYTES, dtype=torch.uint8).numpy())  # takes no memory before it is used
        index = forgotten = 0
        files = _OpenFiles()
        try:
            while forgotten < len(self._parts):
                with self._changed:
                    while not (self._stopped or self._done > forgotten or self._may_read(index)):
                        files.close()  # whoever waits for long is in nobody's way
                        if not self._changed.wait(IDLE_SECONDS):
                            return
                    if self._stopped:
                        return
                    done, index = self._done, max(index, self._needed + 1)
                    may_read = self._may_read(index)
                for part in self._parts[forgotten:done]:
                    if part.role in self._gives_up:
                        forget_open(files.get(part.path).fileno(), part.spans)
                forgotten = done
                if may_read:
                    self._read(index, files.get(self._parts[index].path), buffer)
                    index += 1
        except OSError as error:
            log.debug("Reading ahead ended: %s", error)  # whoever needs the file says what is wrong with it
        finally:
            files.close()

    def _may_read(self, index: int) -> bool:
        """Whether there is a part `index` and the lead over what the run has left behind allows for it."""
        if index >= len(self._parts):
            return False
        now = time.monotonic()
        if now >= self._lead_until:
            self._lead, self._lead_until = self._lead_bytes(), now + LEAD_SECONDS
        return self._begins[index] - self._begins[self._done] < self._lead

    def _read(self, index: int, file: FileIO, buffer: memoryview) -> None:
        for first, last in self._parts[index].spans:
            fetch_end(file.fileno(), first, last)
            file.seek(first)
            while first < last:
                if self._stopped or self._needed >= index:
                    return
                count = file.readinto(buffer[: min(CHUNK_BYTES, last - first)])
                if not count:
                    return  # the file became shorter: whoever needs it says so
                first += count
                self.read_bytes += count


class _OpenFiles:
    """Files that stay open from one piece to the next."""

    def __init__(self) -> None:
        self._files: dict[str, FileIO] = {}

    def get(self, path: str) -> FileIO:
        """The file, opened if it is not open. Raises OSError."""
        if path not in self._files:
            self._files[path] = FileIO(path)
        return self._files[path]

    def close(self) -> None:
        """Close them all."""
        while self._files:
            self._files.popitem()[1].close()
