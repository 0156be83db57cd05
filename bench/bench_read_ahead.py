"""Reading ahead against not: `python bench/bench_read_ahead.py MODEL.safetensors`, on Linux as root (cold page caches).

Reads the layers of a diffusion model the way ComfyUI 0.33.0 does with dynamic VRAM: each tensor by eight threads in
pieces of 2 MiB past the page cache, then a pause as long as pinning, patching and copying took on the machine of
bench/NOTES.md. Prints seconds and the bytes that came from the disk, in turn without and with runtime/read_ahead.py.
With --first-run the modulation layers are read before, as the table reads them when it has to be made, without reading
ahead, with the blocks alone read ahead, and with the modulation layers too; --slower gives a slow disk a slow machine.
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
from qwen_image_loader.runtime.modulation_file import MappedFile, is_modulation  # noqa: E402
from qwen_image_loader.runtime.read_ahead import Part, ReadAhead  # noqa: E402
from qwen_image_loader.runtime.read_order import MODULATION, Modulation, parts_of  # noqa: E402
from sweep.limits import drop_page_cache, why_no_cache_drop  # noqa: E402

PIECE = 2 * 1024**2
THREADS = 8
PAUSE_SECONDS_PER_GB = 0.6
TABLE_PAUSE_SECONDS_PER_GB = 0.4  # from mapped memory to the card; an estimate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--lead-gib", type=float, default=15.0, help="how far ahead at most; default 15")
    parser.add_argument("--head-start", type=float, default=0.0, help="seconds before the first layer is needed")
    parser.add_argument("--first-run", action="store_true", help="the table has to be made")
    parser.add_argument("--slower", type=float, default=1.0, metavar="X", help="pauses X times as long")
    options = parser.parse_args()
    reason = why_no_cache_drop()
    if reason:
        print(reason)
        return 1
    order = Modulation.BEFORE_BLOCKS if options.first_run else Modulation.NEVER
    parts = parts_of(ROLE_DIFFUSION_MODEL, str(options.model), order)
    blocks = [part for part in parts if part.role != MODULATION]
    orders = {"without": [], "with": blocks, **({"with modulation": parts} if options.first_run else {})}
    size = sum(part.nbytes for part in parts)
    print(f"{options.model.name}: {size / 1e9:.1f} GB in {len(parts)} parts")
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    lead_bytes = int(options.lead_gib * 1024**3)
    for _ in range(options.repeat):
        for name, ahead in orders.items():
            reader = ReadAhead(ahead, lambda: lead_bytes)
            taken, read = one_pass(parts, reader, options.head_start, options.slower)
            seconds[name].append(taken)
            print(f"{name:15} {taken:6.1f} s, {read / 1e9:5.1f} GB from disk ({read / size:.2f} of it)", flush=True)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        print(f"{name:15} {median:6.1f} s, {median / medians['without']:.2f} of the time without")
    return 0


def one_pass(parts: list[Part], ahead: ReadAhead, head_start: float, slower: float) -> tuple[float, int]:
    """(seconds, bytes from disk) of a host that makes the table, then needs the blocks one after the other."""
    drop_page_cache()
    process = psutil.Process()
    before = process.io_counters().read_bytes
    with ahead, ThreadPoolExecutor(THREADS) as pool:
        time.sleep(head_start)
        began = time.monotonic()
        for part in parts:
            if part.role == MODULATION:
                ahead.reached(part.role, part.number)
                make_rows(part, slower)
                continue
            ahead.reached(part.role, part.number)
            file = os.open(part.path, os.O_RDONLY)
            for first, last in part.spans:
                pieces = range(first, last, PIECE)
                list(
                    pool.map(lambda start, end=last, file=file: read_cold(file, start, min(PIECE, end - start)), pieces)
                )
                time.sleep(slower * PAUSE_SECONDS_PER_GB * (last - first) / 1e9)
            os.close(file)
        ahead.passed(ROLE_DIFFUSION_MODEL)
        return time.monotonic() - began, process.io_counters().read_bytes - before


def make_rows(part: Part, slower: float) -> None:
    """As the table reads the modulation layers of one block: mapped, layer by layer."""
    file = MappedFile(part.path)
    names = [name for name in file.names if is_modulation(name) and f"transformer_blocks.{part.number}." in name]
    for layer in sorted({name.rpartition(".")[0] + "." for name in names}):
        file.fetch(layer)
        for name in names:
            if name.startswith(layer):
                nbytes = file.tensor(name).clone().nbytes
                time.sleep(slower * TABLE_PAUSE_SECONDS_PER_GB * nbytes / 1e9)


def read_cold(file: int, start: int, size: int) -> None:
    """As comfy-aimdo reads a weight: into memory of its own, then the page cache is told to forget it."""
    os.pread(file, size, start)
    os.posix_fadvise(file, start, size, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    sys.exit(main())
