"""Reading ahead against not: `python bench/bench_read_ahead.py MODEL.safetensors`, on Linux as root (cold page caches).

Reads the layers of a diffusion model the way ComfyUI 0.33.0 does with dynamic VRAM: each tensor by eight threads in
pieces of 2 MiB past the page cache, then a pause as long as pinning, patching and copying took on the machine of
bench/NOTES.md. Prints seconds and the bytes that came from the disk, in turn without and with runtime/read_ahead.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("bench", "demo", "tests/comfyui")]

from load_pack import load_pack  # noqa: E402

load_pack()

from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL  # noqa: E402
from qwen_image_loader.runtime.read_ahead import Part, ReadAhead  # noqa: E402
from qwen_image_loader.runtime.read_order import parts_of  # noqa: E402
from sweep.limits import drop_page_cache, why_no_cache_drop  # noqa: E402

PIECE = 2 * 1024**2
THREADS = 8
PAUSE_SECONDS_PER_GB = 0.6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--lead-gib", type=float, default=15.0, help="how far ahead at most; default 15")
    parser.add_argument("--head-start", type=float, default=0.0, help="seconds before the first layer is needed")
    options = parser.parse_args()
    reason = why_no_cache_drop()
    if reason:
        print(reason)
        return 1
    parts = parts_of(ROLE_DIFFUSION_MODEL, str(options.model), modulation_table=True)
    size = sum(part.nbytes for part in parts)
    print(f"{options.model.name}: {size / 1e9:.1f} GB in {len(parts)} parts, ComfyUI's own pauses {pause(size):.1f} s")
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(options.repeat):
        for name in seconds:
            lead = int(options.lead_gib * 1024**3)
            taken, read = one_pass(parts, ReadAhead(parts if name == "with" else [], lead, True), options.head_start)
            seconds[name].append(taken)
            print(
                f"{name:8} {taken:6.1f} s, {read / 1e9:5.1f} GB from disk ({read / size:.2f} of the parts)", flush=True
            )
    ratio = statistics.median(seconds["with"]) / statistics.median(seconds["without"])
    print(f"medians: {ratio:.2f} of the time without")
    return 0


def pause(size: int) -> float:
    """Seconds in which ComfyUI does not read while it loads `size` bytes."""
    return PAUSE_SECONDS_PER_GB * size / 1e9


def one_pass(parts: list[Part], ahead: ReadAhead, head_start: float) -> tuple[float, int]:
    """(seconds, bytes from disk) of a host that needs the parts one after the other."""
    drop_page_cache()
    process = psutil.Process()
    before = process.io_counters().read_bytes
    with ahead, ThreadPoolExecutor(THREADS) as pool:
        time.sleep(head_start)
        began = time.monotonic()
        for part in parts:
            ahead.reached(part.role, part.number)
            file = os.open(part.path, os.O_RDONLY)
            for first, last in part.spans:
                pieces = range(first, last, PIECE)
                list(
                    pool.map(lambda start, end=last, file=file: read_cold(file, start, min(PIECE, end - start)), pieces)
                )
                time.sleep(pause(last - first))
            os.close(file)
        ahead.passed(ROLE_DIFFUSION_MODEL)
        return time.monotonic() - began, process.io_counters().read_bytes - before


def read_cold(file: int, start: int, size: int) -> None:
    """As comfy-aimdo reads a weight: into memory of its own, then the page cache is told to forget it."""
    os.pread(file, size, start)
    os.posix_fadvise(file, start, size, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    sys.exit(main())
