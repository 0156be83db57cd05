"""What the loader has to reach, held against the measured medians: reached, not reached, or not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .cells import COLD, LIGHTNING_8, LOADER, NEW_PROMPT, NEW_SEED, RESTART
from .results import Median, Results, failures, medians
from .table import predictions

TARGET_CELL = "8x32"
SMALLEST_CELL_GIB = 6
SLOWER_ALLOWED = 1.03


@dataclass(frozen=True)
class Verdict:
    """One target. `reached` is None where nothing was measured that could tell."""

    target: str
    reached: bool | None
    figures: str

    def __str__(self) -> str:
        word = "not measured" if self.reached is None else "reached" if self.reached else "NOT REACHED"
        return f"{word:12}  {self.target}" + (f": {self.figures}" if self.figures else "")


def verdicts(results: Results) -> list[Verdict]:
    """Every target in order; the target cell is the 8 GB card with 32 GB of RAM."""
    found = medians(results.rows)
    return [*_target_cell(found), _no_failures(results), _never_slower(found), *_predictions(results)]


def _target_cell(found: Sequence[Median]) -> Iterator[Verdict]:
    def of(kind: str) -> Median | None:
        wanted = (TARGET_CELL, LIGHTNING_8, LOADER, kind)
        return next((m for m in found if (m.cell, m.recipe, m.side, m.kind) == wanted), None)

    yield _at_most(of(NEW_SEED), lambda m: m.step_to_resident, 1.15, "a step against the fully resident stock run")
    yield _at_most(of(NEW_SEED), lambda m: m.step_to_stock, 0.40, "a step against stock under the same limits")
    yield _at_most(of(NEW_PROMPT), lambda m: m.seconds_to_stock, 0.50, "a new prompt against stock")
    yield _at_most(of(COLD), lambda m: m.seconds_to_stock, 0.70, "the very first run, cold caches, against stock")
    yield _at_most(of(RESTART), lambda m: m.seconds_to_stock, 0.70, "the first run after a later start, cold caches")
    warm = [m for m in map(of, (NEW_SEED, NEW_PROMPT)) if m is not None and m.disk_bytes is not None]
    read = sum(m.disk_bytes or 0 for m in warm)
    figures = f"{read:.0f} bytes" if warm else ""
    yield Verdict(f"{TARGET_CELL}: no byte read from disk in a warm run", read == 0 if warm else None, figures)


def _at_most(median: Median | None, value: Callable[[Median], float | None], limit: float, words: str) -> Verdict:
    ratio = value(median) if median else None
    figures = "" if ratio is None else f"{ratio:.3f}"  # one digit more than the target: 0.701 misses 0.70
    return Verdict(f"{TARGET_CELL}: {words} at most {limit:.2f}", None if ratio is None else ratio <= limit, figures)


def _no_failures(results: Results) -> Verdict:
    rows = [row for row in results.rows if row.side == LOADER]
    counted = [row for row in rows if row.vram_gib is None or row.vram_gib >= SMALLEST_CELL_GIB]
    troubled = [*failures(counted), *(row for row in counted if row.vae_retries or row.group_oom_kills)]
    names = ", ".join(sorted({f"{row.cell} {row.recipe}" for row in troubled}))
    return Verdict("no out-of-memory and no failed run in any cell", not troubled if counted else None, names)


def _never_slower(found: Sequence[Median]) -> Verdict:
    compared = [m for m in found if m.side == LOADER and m.kind != RESTART and m.seconds_to_stock is not None]
    slower = [m for m in compared if (m.seconds_to_stock or 0) > SLOWER_ALLOWED]
    names = ", ".join(f"{m.cell} {m.recipe} {m.kind} {m.seconds_to_stock:.2f}" for m in slower)
    return Verdict("nothing slower than stock by more than 3 % in any cell", not slower if compared else None, names)


def _predictions(results: Results) -> Iterator[Verdict]:
    ratios = {key: predicted / measured for key, (predicted, measured) in predictions(results.rows).items()}

    def verdict(target: str, is_wrong: Callable[[float], bool]) -> Verdict:
        wrong = [f"{cell} {recipe} {ratio:.2f}" for (cell, recipe, _), ratio in ratios.items() if is_wrong(ratio)]
        return Verdict(target, not wrong if ratios else None, ", ".join(wrong))

    yield verdict("predicted peak VRAM within 10 % of the measured one", lambda ratio: abs(ratio - 1) > 0.10)
    yield verdict("predicted peak VRAM never more than 3 % under the measured one", lambda ratio: ratio < 0.97)
