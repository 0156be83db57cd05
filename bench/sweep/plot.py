"""The plot for the README: seconds a step, and seconds from start to image, a group of bars for each cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .cells import LIGHTNING_8, NEW_PROMPT, NEW_SEED, STOCK, UNLIMITED
from .results import Median, Results, medians

COLOURS = {"stock": "#9aa0a6", "loader": "#1a73e8"}
FURTHER_COLOURS = ("#e8710a", "#12805c")


def draw(results: Results, path: Path, recipe: str = LIGHTNING_8) -> None:
    """Write `path` (PNG). Raises ValueError when no run of `recipe` succeeded, ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    measured = [m for m in medians(results.rows) if m.recipe == recipe and m.seconds is not None]
    found = [m for m in measured if m.kind in (NEW_SEED, NEW_PROMPT)]
    if not found:
        raise ValueError(f"no warm run with the recipe {recipe} succeeded, so there is nothing to draw")
    by_size = dict.fromkeys(row.cell for row in sorted(results.rows, key=lambda row: row.limits))
    cells = [cell for cell in by_size if any(m.cell == cell for m in found)]
    figure, (steps, images) = plt.subplots(2, 1, figsize=(max(6.0, 1.5 + 1.1 * len(cells)), 7.5), layout="constrained")
    sides = list(dict.fromkeys(m.side for m in found))
    _bars(steps, found, cells, sides, NEW_SEED, lambda m: m.seconds_per_step)
    steps.set_title(f"Qwen-Image, {recipe}: seconds a step")
    _bars(images, found, cells, sides, NEW_PROMPT, lambda m: m.seconds)
    images.set_title("New prompt: seconds from start to image")
    images.set_xlabel("limits: VRAM x RAM in GiB")
    resident = next((m for m in found if (m.cell, m.side, m.kind) == (UNLIMITED.name, STOCK, NEW_SEED)), None)
    if resident and resident.seconds_per_step:
        steps.axhline(resident.seconds_per_step, color="#5f6368", linewidth=0.8, linestyle="--")
    steps.legend(loc="upper left", frameon=False, ncols=3, fontsize=8)
    device = results.environment.get("device", "")
    figure.suptitle(f"{device}, ComfyUI {results.environment.get('comfyui', '')}", fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _bars(
    axes: object,
    found: list[Median],
    cells: list[str],
    sides: list[str],
    kind: str,
    value: Callable[[Median], float | None],
) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    further = iter(FURTHER_COLOURS * 2)
    width = 0.8 / max(1, len(sides))
    for number, side in enumerate(sides):
        heights = {m.cell: value(m) or 0.0 for m in found if (m.side, m.kind) == (side, kind)}
        places = [place + (number - (len(sides) - 1) / 2) * width for place in range(len(cells))]
        known = [(place, heights[cell]) for place, cell in zip(places, cells, strict=True) if cell in heights]
        colour = COLOURS.get(side) or next(further)
        bars = axes.bar([place for place, _ in known], [height for _, height in known], width, label=side, color=colour)
        axes.bar_label(bars, fmt="%.2f" if kind == NEW_SEED else "%.1f", fontsize=7)
    axes.set_xticks(
        range(len(cells)), ["no limits" if cell == UNLIMITED.name else cell.replace("x", " x ") for cell in cells]
    )
    axes.margins(y=0.25)
    axes.set_ylabel("s")
    axes.spines[["top", "right"]].set_visible(False)
