"""The GPU as a server sees it: how much of it is free, and the meter that follows what is used."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType

from .cells import GIB
from .limits import HeldVram, LimitError
from .meters import GpuMeter, gpu_used_bytes

MOST_OF_AN_EMPTY_SERVER = 2 * GIB  # CUDA's own memory and its libraries'
SETTLE_SECONDS = 15.0


class Card:
    """Use as a context manager; without a GPU (None) it limits and measures nothing."""

    def __init__(self, gpu: int | None) -> None:
        self.meter: GpuMeter | None = None
        self._gpu = gpu
        self._before = 0 if gpu is None else gpu_used_bytes(gpu)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Card:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def limit(self, free_gib: float | None) -> None:
        """From now on the server has `free_gib` GiB in all, None: the whole card.

        The server may run already, but has to have nothing loaded. Raises LimitError where the limit cannot be set.
        """
        self.release()
        if self._gpu is None:
            return
        own = self._settled() - self._before
        if own > MOST_OF_AN_EMPTY_SERVER:
            raise LimitError(f"the server, told to unload, still holds {own / GIB:.1f} GiB of the GPU")
        if free_gib is not None:
            self._open.enter_context(HeldVram(free_gib - own / GIB, self._gpu))
        self.meter = GpuMeter(self._gpu, own)
        self._open.callback(self.meter.close)

    def release(self) -> None:
        """Hold and follow nothing any more; until the next limit, what is in use is the server's alone."""
        self._open.close()
        self.meter = None

    def is_unloaded(self) -> bool:
        """Whether the server, after release, holds no models any more."""
        return self._gpu is None or self._settled() - self._before <= MOST_OF_AN_EMPTY_SERVER

    def _settled(self) -> int:
        """Bytes in use on the GPU once they are no longer becoming fewer."""
        assert self._gpu is not None
        deadline, used = time.monotonic() + SETTLE_SECONDS, gpu_used_bytes(self._gpu)
        while used - self._before > 0 and time.monotonic() < deadline:
            time.sleep(0.5)
            before, used = used, gpu_used_bytes(self._gpu)
            if used == before:
                break
        return used
