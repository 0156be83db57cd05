"""Reading ahead against not: `python bench/bench_read_ahead.py MODEL.safetensors`, on Linux.

Reads the layers of a diffusion model the way ComfyUI 0.33.0 does with dynamic VRAM: each tensor by eight threads in
pieces of 2 MiB past the page cache, then a pause as long as pinning, patching and copying took on the machine of
bench/NOTES.md. Prints seconds and the bytes that came from the disk, in turn without and with runtime/read_ahead.py.
With --first-run the modulation layers are read before, as the table reads them when it has to be made, without reading
ahead, with the blocks alone read ahead, and with the modulation layers too; --slower gives a slow disk a slow machine.
With --text-encoder FILE that file is read before the model. With --available-gib N (13 is what ComfyUI leaves of
16 GiB) there is no more RAM than that, and the host keeps a copy of each layer in it until 2 GiB are left, as ComfyUI
does. With --start-again each run is followed by one of a new start, which finds what the first one left in memory.
With --marks, of a quantized model, only this is measured: how long it takes to look at the marks of its layers, as
ComfyUI does while it loads the file, with and without asking for all of them before. With --casting only this: how long
it takes to cast the matrices of a Lightning LoRA on the CPU, alone and beside the reading of MODEL, giving way to it or
not.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("bench", "demo", "tests/comfyui")]

from load_pack import load_pack  # noqa: E402

load_pack()

from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_TEXT_ENCODER  # noqa: E402
from qwen_image_loader.runtime import read_ahead  # noqa: E402
from qwen_image_loader.runtime.modulation_file import MappedFile, is_modulation  # noqa: E402
from qwen_image_loader.runtime.page_cache import fetch  # noqa: E402
from qwen_image_loader.runtime.read_ahead import Part, ReadAhead, lead_for  # noqa: E402
from qwen_image_loader.runtime.read_order import (  # noqa: E402
    LEFT_BY_COMFYUI_BYTES,
    MODULATION,
    Modulation,
    looked_at,
    need_not_stay,
    parts_of,
)
from sweep.cells import GIB  # noqa: E402
from sweep.limits import make_cold, why_no_cold_files  # noqa: E402

PIECE = 2 * 1024**2
THREADS = 8
PAUSE_SECONDS_PER_GB = 0.6
LORA_MATRICES = 1440  # two for each of 12 layers in 60 blocks
HEAD_START_SECONDS = 0.2
TABLE_PAUSE_SECONDS_PER_GB = 0.4  # from mapped memory to the card; an estimate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--lead-gib", type=float, default=15.0, help="never further ahead; default 15")
    parser.add_argument("--head-start", type=float, default=0.0, help="seconds before the first layer is needed")
    parser.add_argument("--first-run", action="store_true", help="the table has to be made")
    parser.add_argument("--slower", type=float, default=1.0, metavar="X", help="pauses X times as long")
    parser.add_argument("--text-encoder", type=Path, metavar="FILE", help="read before the model")
    parser.add_argument("--available-gib", type=float, metavar="N", help="RAM for files and the host's copies")
    parser.add_argument("--start-again", action="store_true", help="a second start after each run, the table is there")
    parser.add_argument("--marks", action="store_true", help="only: the marks of a quantized model")
    parser.add_argument("--casting", action="store_true", help="only: casting a LoRA beside reading ahead")
    options = parser.parse_args()
    reason = why_no_cold_files() or why_not_available(options.available_gib)
    if reason:
        print(reason)
        return 1
    if options.marks:
        look_at_marks(str(options.model), options.repeat)
        return 0
    if options.casting:
        cast_beside_reading(str(options.model), options.repeat)
        return 0
    order = Modulation.BEFORE_BLOCKS if options.first_run else Modulation.NEVER
    parts = parts_of(ROLE_DIFFUSION_MODEL, str(options.model), order)
    if options.text_encoder:
        parts = parts_of(ROLE_TEXT_ENCODER, str(options.text_encoder), order) + parts
    blocks = [part for part in parts if part.role != MODULATION]
    orders = {"without": [], "with": blocks, **({"with modulation": parts} if options.first_run else {})}
    size = sum(part.nbytes for part in parts)
    print(f"{options.model.name}: {size / 1e9:.1f} GB in {len(parts)} parts")
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    for _ in range(options.repeat):
        for name, ahead in orders.items():
            make_cold(filter(None, (options.model, options.text_encoder)))
            with ram_for(options.available_gib):
                taken, read = run_once(parts, ahead, options)
                again = run_once(blocks, blocks if ahead else [], options) if options.start_again else ()
            seconds[name].append(taken)
            print(f"{name:15} {taken:6.1f} s, {read / 1e9:5.1f} GB from disk ({read / size:.2f} of it)", flush=True)
            if again:
                print(f"{'  started again':15} {again[0]:6.1f} s, {again[1] / 1e9:5.1f} GB from disk", flush=True)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        print(f"{name:15} {median:6.1f} s, {median / medians['without']:.2f} of the time without")
    return 0


def look_at_marks(path: str, repeat: int) -> None:
    """Print seconds and bytes from disk, in turn without and with asking for the marks first."""
    marks = looked_at(path)
    for asks in [False, True] * repeat:
        make_cold([Path(path)])
        before, began = psutil.Process().io_counters().read_bytes, time.monotonic()
        if asks:
            fetch(path, marks)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for first, last in marks:
                mapped[first:last]
        taken = time.monotonic() - began
        read = psutil.Process().io_counters().read_bytes - before
        print(f"{'with' if asks else 'without':8} {taken:5.2f} s, {read / 1e6:6.0f} MB for {len(marks)} marks")


def cast_beside_reading(path: str, repeat: int) -> None:
    """Print how long casting takes alone, beside a reading that gives way, and beside one that does not."""
    matrices = [torch.randn(64, 3072) for _ in range(LORA_MATRICES)]
    parts = parts_of(ROLE_DIFFUSION_MODEL, path, Modulation.WITH_BLOCKS)
    gives_way = read_ahead.give_way
    cases = (("no reading", (), gives_way), ("it gives way", parts, gives_way), ("it does not", parts, lambda: None))
    for name, reads, way in cases * repeat:
        read_ahead.give_way = way
        with ReadAhead(reads, lambda: sys.maxsize) as reader:
            time.sleep(HEAD_START_SECONDS)
            began, before = time.monotonic(), reader.read_bytes
            kept = [matrix.to(torch.bfloat16, copy=True) for matrix in matrices]
            taken = time.monotonic() - began
            read = reader.read_bytes - before
            reader.stop()
        print(f"{name:12} {taken:5.2f} s, {read / 1e9:5.2f} GB read meanwhile", flush=True)
        reader.join()
        del kept


def run_once(parts: Sequence[Part], ahead: Sequence[Part], options: argparse.Namespace) -> tuple[float, int]:
    """(seconds, bytes from disk) of a run that needs `parts`, with `ahead` read ahead as runtime/load.py does it."""
    gives_up = need_not_stay(ahead, available_ram(), {})
    reader = ReadAhead(ahead, lambda: min(int(options.lead_gib * GIB), lead_for(available_ram())), gives_up)
    run = Run(options.slower, Copies() if options.available_gib else None)
    return run.read_all(parts, reader, options.head_start)


def available_ram() -> int:
    return int(psutil.virtual_memory().available)


def why_not_available(gib: float | None) -> str:
    """The reason why this machine cannot have `gib` of RAM available and no more, or ""."""
    if gib is None:
        return ""
    if psutil.swap_memory().total:
        return "What is held back would go to the swap: turn it off (swapoff -a)."
    have = available_ram() / GIB
    return f"Less than --available-gib is available: {have:.1f} GiB." if have < gib else ""


@contextmanager
def ram_for(gib: float | None) -> Iterator[None]:
    """All available RAM but `gib` of it is held back; None: nothing is."""
    size = 0 if gib is None else available_ram() - int(gib * GIB)
    held = take(size) if size > 0 else None
    try:
        yield
    finally:
        if held:
            held.close()


def take(size: int) -> mmap.mmap:
    """So many bytes of memory, really there."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    first = ctypes.c_char.from_buffer(memory)
    ctypes.memset(ctypes.addressof(first), 1, size)
    del first  # a mapping that is looked at cannot be closed
    return memory


class Copies:
    """What the host keeps: a copy of each layer while RAM is left; those of another model make room for it."""

    def __init__(self) -> None:
        self._held: list[tuple[str, mmap.mmap]] = []

    def keep(self, part: Part) -> bool:
        """Whether there is a copy of this part now."""
        short = LEFT_BY_COMFYUI_BYTES + part.nbytes - available_ram()
        for held in [held for held in reversed(self._held) if held[0] != part.role]:
            if short <= 0:
                break
            self._held.remove(held)
            short -= len(held[1])
            held[1].close()
        if short > 0 or not part.nbytes:
            return False
        self._held.append((part.role, take(part.nbytes)))
        return True

    def close(self) -> None:
        for _, memory in self._held:
            memory.close()


class Run:
    """A host that makes the table, then needs the layers one after the other; `copies` is None where RAM is roomy."""

    def __init__(self, slower: float, copies: Copies | None) -> None:
        self._slower = slower
        self._copies = copies
        self._pool = ThreadPoolExecutor(THREADS)

    def read_all(self, parts: Sequence[Part], ahead: ReadAhead, head_start: float) -> tuple[float, int]:
        """(seconds, bytes from disk)."""
        process = psutil.Process()
        before = process.io_counters().read_bytes
        with ahead, self._pool:
            time.sleep(head_start)
            began = time.monotonic()
            for part in parts:
                ahead.reached(part.role, part.number)
                if part.role == MODULATION:
                    self._make_rows(part)
                else:
                    self._read(part)
            ahead.passed(ROLE_DIFFUSION_MODEL)
            taken = time.monotonic() - began
        if self._copies:
            self._copies.close()
        return taken, process.io_counters().read_bytes - before

    def _make_rows(self, part: Part) -> None:
        """As the table reads the modulation layers of one block: mapped, layer by layer."""
        file = MappedFile(part.path)
        names = [name for name in file.names if is_modulation(name) and f"transformer_blocks.{part.number}." in name]
        for layer in sorted({name.rpartition(".")[0] + "." for name in names}):
            file.fetch(layer)
            for name in names:
                if name.startswith(layer):
                    self._pause(TABLE_PAUSE_SECONDS_PER_GB, file.tensor(name).clone().nbytes)
            if self._copies:
                file.forget(layer)

    def _read(self, part: Part) -> None:
        """As comfy-aimdo reads weights: into a copy, and the page cache is told to forget them, or past it."""
        has_copy = self._copies is None or self._copies.keep(part)
        file = os.open(part.path, os.O_RDONLY)
        for first, last in part.spans:

            def read_piece(start: int, last: int = last) -> None:
                size = min(PIECE, last - start)
                os.pread(file, size, start)
                if has_copy:
                    os.posix_fadvise(file, start, size, os.POSIX_FADV_DONTNEED)

            list(self._pool.map(read_piece, range(first, last, PIECE)))
            self._pause(PAUSE_SECONDS_PER_GB, last - first)
        os.close(file)

    def _pause(self, seconds_per_gb: float, nbytes: int) -> None:
        time.sleep(self._slower * seconds_per_gb * nbytes / 1e9)


if __name__ == "__main__":
    sys.exit(main())
