"""What is measured: limits, recipes, graphs and runs, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GIB = 1024**3
FREE = "free"
VRAM_GIB = (6.0, 8.0, 12.0, 16.0, 24.0, None)
RAM_GIB = (16.0, 32.0, 64.0, None)

COLD = "cold"
NEW_SEED = "new seed"
NEW_PROMPT = "new prompt"
RESTART = "restart"
KINDS = (COLD, NEW_SEED, NEW_PROMPT, RESTART)  # what can be asked for
RELOAD = "reload"  # takes the place of COLD in a server that has measured another cell or recipe before

STOCK = "stock"
LOADER = "loader"
LOADER_ON = "loader, modulation on"
LOADER_OFF = "loader, modulation off"
# what runtime/switches.py can turn off
MEASURES = ("attention-first", "block-prefetch", "lora-file-in-memory", "lora-in-ram", "read-ahead", "stay-in-vram")


@dataclass(frozen=True)
class Side:
    """A graph: stock's (`modulation` None) or the loader's with that input, and without these measures."""

    modulation: str | None
    without: tuple[str, ...] = ()


SIDES: dict[str, Side] = {
    STOCK: Side(None),
    LOADER: Side("auto"),
    LOADER_ON: Side("on"),
    LOADER_OFF: Side("off"),
    **{f"loader, without {measure}": Side("auto", (measure,)) for measure in MEASURES},
}

LIGHTNING_8 = "Lightning 8 steps"
BASE = "base"
DISTILLED = "distilled"
LIGHTNING_4 = "Lightning 4 steps"
FP8MIXED = "Lightning fp8mixed"


@dataclass(frozen=True)
class Cell:
    """Limits of one measurement in GiB; None is no limit."""

    vram_gib: float | None
    ram_gib: float | None

    @property
    def name(self) -> str:
        """As on the command line: "8x32", "8xfree"."""
        return f"{_limit_name(self.vram_gib)}x{_limit_name(self.ram_gib)}"

    def in_words(self) -> str:
        return f"VRAM {_limit_words(self.vram_gib)}, RAM {_limit_words(self.ram_gib)}"


UNLIMITED = Cell(None, None)
ALL_CELLS = tuple(Cell(vram, ram) for vram in VRAM_GIB for ram in RAM_GIB)


def parse_cells(texts: Iterable[str]) -> list[Cell]:
    """Cells from "8x32", "8xfree", "freexfree" or "all". Raises ValueError for anything else."""
    cells: list[Cell] = []
    for text in texts:
        cells.extend(ALL_CELLS if text == "all" else [_parse_cell(text)])
    return list(dict.fromkeys(cells))


def _parse_cell(text: str) -> Cell:
    vram, separator, ram = text.partition("x")
    if not separator:
        raise ValueError(f"'{text}' is not a cell; write VRAMxRAM in GiB, for instance 8x32, 8xfree or freexfree")
    return Cell(_parse_limit(vram, text), _parse_limit(ram, text))


def _parse_limit(part: str, text: str) -> float | None:
    if part == FREE:
        return None
    try:
        limit = float(part)
    except ValueError:
        limit = 0.0
    if not 0.0 < limit < 10_000.0:
        raise ValueError(f"'{part}' in the cell '{text}' is neither a number of GiB nor '{FREE}'")
    return limit


def _limit_name(gib: float | None) -> str:
    return FREE if gib is None else f"{gib:g}"


def _limit_words(gib: float | None) -> str:
    return FREE if gib is None else f"{gib:g} GiB"
