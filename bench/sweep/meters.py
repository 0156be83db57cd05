"""Watches a server process while a graph runs: GPU memory, resident memory, control group, bytes read from disk."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import psutil

from .disk_trace import Sample, disk_rest
from .limits import ControlGroup

INTERVAL_SECONDS = 0.1
MIB = 1024**2


@dataclass(frozen=True)
class Usage:
    """Peaks and sums of one run; None where this machine cannot tell."""

    peak_vram_bytes: int | None
    peak_rss_bytes: int | None
    peak_group_bytes: int | None
    read_bytes: int | None
    group_read_bytes: int | None
    group_oom_kills: int | None
    disk_rest_seconds: float | None
    after_disk_seconds: float | None


def gpu_used_bytes(gpu: int) -> int:
    """Memory in use on a GPU by everybody, as nvidia-smi tells it."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", str(gpu)]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]) * MIB


class GpuMeter:
    """Follows one GPU's used memory by one nvidia-smi that reports every 100 ms.

    `own_bytes` of what is in use now belong to the server already.
    """

    def __init__(self, gpu: int, own_bytes: int = 0) -> None:
        self.baseline_bytes = gpu_used_bytes(gpu) - own_bytes
        self._peak = 0
        self._lock = threading.Lock()
        period = ["-lms", str(int(INTERVAL_SECONDS * 1000))]
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", str(gpu), *period]
        self._process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip().isdigit():
                with self._lock:
                    self._peak = max(self._peak, int(line) * MIB - self.baseline_bytes)

    def take_peak_bytes(self) -> int:
        """The peak above the baseline since the last call."""
        with self._lock:
            peak, self._peak = self._peak, 0
        return peak

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(5)


class Meters:
    """Measures process `pid` between `begin` and `end`; use as a context manager around the server's life."""

    def __init__(self, pid: int, group: ControlGroup | None, gpu: GpuMeter | None) -> None:
        self._process = psutil.Process(pid)
        self._group = group
        self._gpu = gpu
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._peak_rss: int | None = None
        self._peak_group: int | None = None
        self._last_read: int | None = None
        self._samples: list[Sample] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meters:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            rss = self._process.memory_info().rss
            # Linux counts what came from the disk; Windows counts every read, macOS none.
            read = self._process.io_counters().read_bytes if sys.platform == "linux" else None
            group = self._group.current_bytes() if self._group else None
            group_read = self._group.read_bytes() if self._group else None
        except (psutil.Error, OSError):
            return  # the process has ended: what was seen before is what there is
        with self._lock:
            self._peak_rss = max(self._peak_rss or 0, rss)
            self._last_read = read
            known = read if group_read is None else group_read
            if known is not None:
                self._samples.append((time.monotonic(), known))
            if group is not None:
                self._peak_group = max(self._peak_group or 0, group)

    def begin(self) -> None:
        """Start of a run."""
        if self._gpu:
            self._gpu.take_peak_bytes()
        with self._lock:
            self._peak_rss = self._peak_group = None
            self._samples.clear()
        self._look()
        self._read_before = self._last_read
        self._group_read_before = self._group.read_bytes() if self._group else None

    def end(self) -> Usage:
        """What was used since `begin`."""
        self._look()
        group_read = self._group.read_bytes() if self._group else None
        with self._lock:
            rest, after = disk_rest(self._samples)
        return Usage(
            self._gpu.take_peak_bytes() if self._gpu else None,
            self._peak_rss,
            self._peak_group,
            _difference(self._last_read, self._read_before),
            _difference(group_read, self._group_read_before),
            self._group.oom_kills() if self._group else None,
            rest,
            after,
        )


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None else after - (before or 0)
