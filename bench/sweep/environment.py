"""The machine that was measured, and which cells it can show."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from comfyui_host import REPOSITORY, Host

from .cells import GIB, Cell
from .limits import make_cold, why_no_ram_limit

if TYPE_CHECKING:
    from .session import Bench

CODE = ("nodes", "planner", "runtime")
PIECE_BYTES = 64 * 1024**2
GPU_FIELDS = ("name", "memory.total", "driver_version", "pcie.link.gen.max", "pcie.link.width.max")


def find_gpu(gpu: int) -> dict[str, str] | None:
    """nvidia-smi's words about a GPU, or None without one."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits", "-i", str(gpu)]
    done = subprocess.run(query, capture_output=True, text=True)
    values = [value.strip() for value in done.stdout.strip().split(",")]
    if done.returncode or len(values) != len(GPU_FIELDS):
        return None
    return dict(zip(GPU_FIELDS, values, strict=True))


def describe(host: Host, gpu: dict[str, str] | None, bench: Bench) -> dict[str, Any]:
    """What a reader of the results has to know about where they come from."""
    packages = ("torch", "comfy-kitchen", "comfy-aimdo")
    versions = {name: _version(name) for name in packages}
    revision = ["git", "describe", "--always", "--dirty"]
    pack = subprocess.run(revision, cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()
    return {
        "device": gpu["name"] if gpu else "CPU (tiny models)",
        "gpu": gpu,
        "comfyui": host.version,
        "pack": pack,
        "pack_code": code_id(REPOSITORY),
        "packages": versions,
        "system": platform.platform(),
        "processors": psutil.cpu_count(),
        "ram_gib": round(psutil.virtual_memory().total / GIB, 1),
        "flags": list(bench.flags),
        "pixels": bench.pixels,
        "cold_files": len(bench.cold_files),
        "disk_gb_per_s": bench.disk_rate and round(bench.disk_rate / 1e9, 2),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def cold_read_rate(path: Path, most_bytes: int = 2 * GIB) -> float:
    """Bytes a second of a plain read of a file's first `most_bytes` from the disk."""
    buffer = bytearray(PIECE_BYTES)
    make_cold([path])
    begin, read = time.perf_counter(), 0
    with path.open("rb", buffering=0) as file:
        while read < most_bytes and (count := file.readinto(buffer)):
            read += count
    return read / (time.perf_counter() - begin)


def code_id(pack: Path) -> str:
    """Changes with the code that runs in ComfyUI; not with documents, tests, the panel or this benchmark."""
    digest = hashlib.sha256()
    for path in sorted([pack / "__init__.py", *(file for name in CODE for file in (pack / name).rglob("*.py"))]):
        digest.update(f"{path.relative_to(pack).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def why_cell_is_impossible(cell: Cell, gpu: int | None) -> str:
    """The reason why a cell's limits cannot be shown on this machine, or ""."""
    if cell.ram_gib is not None:
        reason = why_no_ram_limit()
        if reason:
            return reason
        have = psutil.virtual_memory().available / GIB
        if cell.ram_gib > have:
            return f"this machine has {have:.0f} GiB of free RAM"
    if cell.vram_gib is not None:
        found = find_gpu(gpu) if gpu is not None else None
        if found is None:
            return "limiting VRAM needs an NVIDIA GPU"
        total = float(found["memory.total"]) / 1024
        if cell.vram_gib >= total:
            return f"the GPU has {total:.1f} GiB; the cell without a VRAM limit shows it"
    return ""
