"""The results as text: one line a run, the predictions beside the measurements, and what failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .cells import GIB
from .results import OK, Median, Results, Row, failures, medians

WORTH_NAMING_SECONDS = 0.05
HEADINGS = (
    ("cell", 12, "<"),
    ("recipe", 17, "<"),
    ("graph", 30, "<"),
    ("run", 10, "<"),
    ("s", 7, ">"),
    ("s/step", 7, ">"),
    ("VRAM", 6, ">"),
    ("RAM", 6, ">"),
    ("disk", 6, ">"),
    ("s:stock", 8, ">"),
    ("step:stock", 10, ">"),
    ("step:resident", 13, ">"),
)


def result_table(results: Results) -> str:
    """Medians in the order of measuring; memory and disk in GiB."""
    lines = [_line([heading for heading, _, _ in HEADINGS])]
    for median in medians(results.rows):
        lines.append(_line(_cells(median)))
    return "\n".join(lines)


def run_line(row: Row) -> str:
    """One run as soon as it has ended."""
    facts = [f"{row.cell} {row.recipe}, {row.side}, {row.kind}: {row.status}"]
    if row.status == OK:
        facts.append(f"{_number(row.seconds, 1)} s, {_number(row.seconds_per_step, 3)} s/step")
        named = [f"{name} {s:.2f}" for name, s in row.node_seconds.items() if s >= WORTH_NAMING_SECONDS]
        if named:
            facts.append("of that " + ", ".join(named))
        amounts = map(_gib, (row.peak_vram_bytes, row.peak_rss_bytes, row.disk_bytes))
        facts.append("VRAM {}, RAM {}, disk {} GiB".format(*amounts))
        if row.disk_rest_seconds is not None:
            facts.append(
                f"the disk rested {row.disk_rest_seconds:.1f} s, and {_number(row.after_disk_seconds, 1)} at the end"
            )
    else:
        facts.append(_first_line(row.error))
    if row.difference is not None:
        facts.append(f"image differs from the first graph's by {row.difference}")
    return "; ".join(facts)


def _cells(median: Median) -> list[str]:
    names = [median.cell, median.recipe, median.side, median.kind]
    if median.failed == median.runs:
        return [*names, "FAILED", *[""] * 7]
    numbers = [
        _number(median.seconds, 1),
        _number(median.seconds_per_step, 2),
        _gib(median.peak_vram_bytes),
        _gib(median.peak_rss_bytes),
        _gib(median.disk_bytes),
        _number(median.seconds_to_stock, 2),
        _number(median.step_to_stock, 2),
        _number(median.step_to_resident, 2),
    ]
    return names + numbers


def _line(values: Sequence[str]) -> str:
    parts = [f"{value:{side}{width}}" for value, (_, width, side) in zip(values, HEADINGS, strict=True)]
    return "  ".join(parts).rstrip()


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _gib(value: float | None) -> str:
    return "-" if value is None else f"{value / GIB:.1f}"


def prediction_table(rows: Sequence[Row]) -> str:
    """The plan's peak VRAM beside the measured one, a line for each cell and graph that has both."""
    lines = [f"{'cell':12}  {'recipe':17}  {'graph':30}  predicted  measured  predicted:measured"]
    for (cell, recipe, side), (predicted, measured) in predictions(rows).items():
        lines.append(
            f"{cell:12}  {recipe:17}  {side:30}  {predicted / GIB:9.2f}  {measured / GIB:8.2f}"
            f"  {predicted / measured:18.3f}"
        )
    return "\n".join(lines) if len(lines) > 1 else "no cell has both a predicted and a measured peak"


def predictions(rows: Sequence[Row]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(cell, recipe, side) -> (the plan's peak, the highest peak of any run), in bytes of device memory."""
    predicted: dict[tuple[str, str, str], int] = {}
    measured: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.cell, row.recipe, row.side)
        if row.predicted_peak_vram_bytes is not None:
            predicted[key] = row.predicted_peak_vram_bytes
        if row.peak_vram_bytes:
            measured[key] = max(measured.get(key, 0), row.peak_vram_bytes)
    return {key: (predicted[key], measured[key]) for key in predicted if key in measured}


def failure_list(results: Results) -> str:
    """Which runs gave no image, which ran out of memory on the way, which cells were skipped; a line for each."""
    lines = [f"FAILED {_name(row)}: {row.status}: {_first_line(row.error)}" for row in failures(results.rows)]
    lines += _each(results.rows, lambda row: row.vae_retries, "out of memory while decoding, repeated in tiles")
    lines += _each(results.rows, lambda row: row.group_oom_kills, "killed by the kernel over the RAM limit")
    lines += [f"skipped {cell}: {reason}" for cell, reason in results.skipped.items()]
    return "\n".join(lines) or "no run failed, no cell was skipped"


def _each(rows: Sequence[Row], count: Callable[[Row], int | None], words: str) -> list[str]:
    return [f"OUT OF MEMORY {_name(row)}: {words} ({count(row)}x)" for row in rows if count(row)]


def _name(row: Row) -> str:
    return f"{row.cell} {row.recipe}, {row.side}, {row.kind} (repeat {row.repeat})"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no message"
