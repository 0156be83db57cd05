"""The measured rows, their medians, and the JSON file that holds both."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .cells import COLD, RESTART, STOCK, UNLIMITED

FORMAT = "qwen-image-loader memory benchmark 1"
OK = "success"
SAME_IN_ALL = ("device", "gpu", "comfyui", "pack_code", "packages", "pixels", "flags")  # of what is joined


@dataclass(frozen=True)
class Row:
    """One run of one graph. What could not be measured on the machine is None, never 0.

    seconds: from the request to the end of the run. seconds_per_step: the sampler's own mean, without what the first
    step loads where VRAM is dynamic. node_seconds: of that, by node type; loading and encoding are apart from sampling.
    peak_vram_bytes: device memory of the server above what was in use before it started, CUDA context included.
    peak_rss_bytes: resident memory of the server process. peak_group_bytes: memory of its control group, page cache
    included. read_bytes: fetched from disk by the server process; group_read_bytes: by its control group.
    disk_rest_seconds: how long of the run the disk rested before its last reading; after_disk_seconds: from there on.
    status: success, error, refused, died (the server process ended) or timeout. vae_retries: decodings that ran out of
    memory and were repeated in tiles. difference: largest difference (of 255) to the image that the first graph (stock,
    where it was measured) made in the same run.
    """

    cell: str
    vram_gib: float | None
    ram_gib: float | None
    recipe: str
    side: str
    kind: str
    repeat: int
    status: str
    error: str = ""
    seconds: float | None = None
    seconds_per_step: float | None = None
    steps: int | None = None
    node_seconds: dict[str, float] = field(default_factory=dict)
    server_start_seconds: float | None = None
    peak_vram_bytes: int | None = None
    peak_rss_bytes: int | None = None
    peak_group_bytes: int | None = None
    read_bytes: int | None = None
    group_read_bytes: int | None = None
    group_oom_kills: int | None = None
    disk_rest_seconds: float | None = None
    after_disk_seconds: float | None = None
    vae_retries: int = 0
    predicted_peak_vram_bytes: int | None = None
    modulation_table: bool | None = None
    image: str = ""
    difference: int | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """VRAM and RAM in GiB, infinite where there is no limit: to sort by."""
        vram, ram = (math.inf if gib is None else gib for gib in (self.vram_gib, self.ram_gib))
        return vram, ram

    @property
    def disk_bytes(self) -> int | None:
        """Bytes read from disk, by the control group where there is one, which also sees read-ahead."""
        return self.read_bytes if self.group_read_bytes is None else max(self.group_read_bytes, self.read_bytes or 0)


@dataclass
class Results:
    """Everything one session of the benchmark found out. `skipped` are cells that were not run, with the reason."""

    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    latent_checks: list[dict[str, Any]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """The file with all rows, and with their medians for readers without this code."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"format": FORMAT, **asdict(self), "medians": [asdict(median) for median in medians(self.rows)]}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)

    @staticmethod
    def read(path: Path) -> Results:
        """Raises ValueError for a file that this benchmark did not write."""
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != FORMAT:
            raise ValueError(f"{path} was not written by bench_memory.py: its format is {values.get('format')!r}")
        rows = [Row(**row) for row in values["rows"]]
        return Results(values["environment"], rows, values["skipped"], values["latent_checks"])

    @staticmethod
    def join(parts: Sequence[Results]) -> Results:
        """One result of several, such as cells measured one after the other on machines of one kind; smallest first.

        Raises ValueError where machine, driver, ComfyUI or the pack's code differ: medians and ratios would mix them.
        """
        joined = Results(parts[0].environment)
        for part in parts:
            for name in SAME_IN_ALL:
                here, there = _fact(joined.environment, name), _fact(part.environment, name)
                if here != there:
                    raise ValueError(f"results with different {name} cannot be joined: {here!r} and {there!r}")
            joined.rows += part.rows
            joined.skipped |= part.skipped
            joined.latent_checks += part.latent_checks
        joined.rows.sort(key=lambda row: row.limits)
        return joined


def _fact(environment: dict[str, Any], name: str) -> Any:
    """A fact of the environment; results from before the code had a mark of its own are told apart by the commit."""
    return environment.get(name, environment.get("pack") if name == "pack_code" else None)


@dataclass(frozen=True)
class Median:
    """The medians of the repeats of one run, and ratios to stock here and to stock without limits (fully resident)."""

    cell: str
    recipe: str
    side: str
    kind: str
    runs: int
    failed: int
    error: str
    seconds: float | None
    seconds_per_step: float | None
    peak_vram_bytes: float | None
    peak_rss_bytes: float | None
    disk_bytes: float | None
    difference: int | None
    seconds_to_stock: float | None = None
    step_to_stock: float | None = None
    step_to_resident: float | None = None


def medians(rows: Sequence[Row]) -> list[Median]:
    """One Median a (cell, recipe, side, kind), in the order in which they were measured."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.cell, row.recipe, row.side, row.kind), []).append(row)
    plain = {key: _median(key, group) for key, group in groups.items()}
    return [_with_ratios(median, plain) for median in plain.values()]


def _median(key: tuple[str, str, str, str], group: Sequence[Row]) -> Median:
    good = [row for row in group if row.status == OK]

    def of(value: Callable[[Row], float | None]) -> float | None:
        known = [number for number in map(value, good) if number is not None]
        return statistics.median(known) if known else None

    differences = [row.difference for row in good if row.difference is not None]
    return Median(
        *key,
        runs=len(group),
        failed=len(group) - len(good),
        error=next((f"{row.status}: {row.error}" for row in group if row.status != OK), ""),
        seconds=of(lambda row: row.seconds),
        seconds_per_step=of(lambda row: row.seconds_per_step),
        peak_vram_bytes=of(lambda row: row.peak_vram_bytes),
        peak_rss_bytes=of(lambda row: row.peak_rss_bytes),
        disk_bytes=of(lambda row: row.disk_bytes),
        difference=max(differences, default=None),
    )


def _with_ratios(median: Median, plain: dict[tuple[str, str, str, str], Median]) -> Median:
    kind = COLD if median.kind == RESTART else median.kind  # stock has no table: its restart is its cold run
    stock = plain.get((median.cell, median.recipe, STOCK, kind))
    resident = plain.get((UNLIMITED.name, median.recipe, STOCK, kind))
    return Median(
        **{
            **asdict(median),
            "seconds_to_stock": _ratio(median.seconds, stock and stock.seconds),
            "step_to_stock": _ratio(median.seconds_per_step, stock and stock.seconds_per_step),
            "step_to_resident": _ratio(median.seconds_per_step, resident and resident.seconds_per_step),
        }
    )


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def failures(rows: Iterable[Row]) -> list[Row]:
    """Runs that gave no image."""
    return [row for row in rows if row.status != OK]
