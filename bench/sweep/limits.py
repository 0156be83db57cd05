"""Makes one machine look smaller, and as if just started.

GPU memory is held by another process, RAM limited by a control group, and files are not in memory.

Linux only; the RAM limit needs root and control groups version 2.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

GROUPS = Path("/sys/fs/cgroup")
GROUP_NAME = "qwen-image-loader-bench"
HOLD_VRAM = Path(__file__).with_name("hold_vram.py")
RAM_BYTES = "QIL_BENCH_RAM_BYTES"
RAM_GROUP = "QIL_BENCH_RAM_GROUP"

# Runs at the start of every Python that has this on its path: psutil, which ComfyUI asks for RAM, knows nothing of
# control groups. Page cache counts as available, as it does on a machine of that size. ComfyUI asks before each layer
# that it pins, so the answer is made in as few steps as psutil's own.
SITE_HOOK = f'''\
import os
import re

import psutil

_real = psutil.virtual_memory()
_limit = int(os.environ["{RAM_BYTES}"])
_group = os.environ["{RAM_GROUP}"]
_used = os.open(os.path.join(_group, "memory.current"), os.O_RDONLY)
_details = os.open(os.path.join(_group, "memory.stat"), os.O_RDONLY)
_files = re.compile(rb"^(?:in)?active_file ([0-9]+)$", re.MULTILINE)


def _limited():
    used = max(0, int(os.pread(_used, 64, 0)) - sum(map(int, _files.findall(os.pread(_details, 16384, 0)))))
    free = max(0, _limit - used)
    percent = round(100.0 * used / _limit, 1)
    return _real._replace(total=_limit, available=free, used=used, free=free, percent=percent)


psutil.virtual_memory = _limited
'''


class LimitError(RuntimeError):
    """A limit cannot be set on this machine; the message says why."""


def write_site_hook(folder: Path, limit_bytes: int, group: Path) -> dict[str, str]:
    """Write sitecustomize.py into `folder`; returns the variables for a Python whose psutil is to report the limit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE_HOOK, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, RAM_BYTES: str(limit_bytes), RAM_GROUP: str(group)}


def why_no_ram_limit() -> str:
    """The reason why RAM cannot be limited here, or ""."""
    if sys.platform != "linux":
        return "RAM is limited by Linux control groups"
    if os.geteuid() != 0:
        return "limiting RAM needs root"
    controllers = GROUPS / "cgroup.controllers"
    if not controllers.is_file():
        return "this machine has no control groups version 2 at /sys/fs/cgroup"
    if "memory" not in controllers.read_text().split():
        return "the memory controller is not available in /sys/fs/cgroup"
    return ""


class ControlGroup:
    """A control group with a memory limit. A process enters it by writing its id into `processes`.

    Each benchmark has a name of its own for it, so that one that was killed is in nobody's way.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.path = GROUPS / f"{GROUP_NAME}-{os.getpid()}"
        self.limit_bytes = limit_bytes

    @property
    def processes(self) -> Path:
        return self.path / "cgroup.procs"

    def __enter__(self) -> ControlGroup:
        reason = why_no_ram_limit()
        if reason:
            raise LimitError(reason)
        try:
            for controller in ("+memory", "+io"):
                self._enable(controller)
            self.path.mkdir(exist_ok=True)
            (self.path / "memory.max").write_text(str(self.limit_bytes))
            swap = self.path / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")
        except OSError as error:
            raise LimitError(f"the control group {self.path} cannot be set up: {error}") from error
        return self

    def _enable(self, controller: str) -> None:
        try:
            (GROUPS / "cgroup.subtree_control").write_text(controller)
        except OSError:
            if controller == "+memory":
                raise  # without io, the bytes read are those of the process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + 30
        while self.path.is_dir():  # the kernel gives the group up a moment after its last process
            try:
                self.path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def current_bytes(self) -> int:
        """Memory of the group now, page cache included."""
        return int((self.path / "memory.current").read_text())

    def read_bytes(self) -> int | None:
        """Bytes the group has read from all disks so far; None where the kernel does not count them."""
        return read_io_stat(self.path / "io.stat")

    def oom_kills(self) -> int:
        """How often the kernel killed a process of the group for memory."""
        events = dict(line.split() for line in (self.path / "memory.events").read_text().splitlines())
        return int(events.get("oom_kill", 0))


def read_io_stat(path: Path) -> int | None:
    """The sum of rbytes over the devices of an io.stat file; None without the file."""
    if not path.is_file():
        return None
    fields = [field for line in path.read_text().splitlines() for field in line.split()]
    return sum(int(field.removeprefix("rbytes=")) for field in fields if field.startswith("rbytes="))


class HeldVram:
    """Another process that holds all GPU memory but `free_gib` while the context is open."""

    def __init__(self, free_gib: float, gpu: int, python: str = sys.executable) -> None:
        self.free_gib = free_gib
        self.gpu = gpu
        self.python = python
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> HeldVram:
        self._process = subprocess.Popen(
            [self.python, str(HOLD_VRAM), str(self.free_gib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **gpu_variables(self.gpu)},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("holding"):
            self._end()
            raise LimitError(f"VRAM could not be limited to {self.free_gib:g} GiB: {line or 'the process ended'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def gpu_variables(gpu: int) -> dict[str, str]:
    """Variables that show a process one GPU, counted as nvidia-smi counts."""
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(gpu)}


def why_no_cold_files() -> str:
    """The reason why the system cannot be made to give up what it holds of files here, or ""."""
    return "" if sys.platform == "linux" else "only Linux gives up what it holds of a file when it is told to"


def make_cold(files: Iterable[Path]) -> None:
    """Have the system give up what it holds of these files in memory, but for what a process has mapped."""
    for path in files:
        with path.open("rb") as file:
            os.fdatasync(file.fileno())  # what is not on the disk yet cannot be given up
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
