"""Load Qwen-Image against the official template under memory limits, on a real ComfyUI: `python bench/bench_memory.py`.

With an NVIDIA GPU: full-size files with random weights, cells of VRAM x RAM, each with stock's graph and the loader's
in turn. Limiting RAM needs Linux and root, cold runs need Linux. Without a GPU, or with --cpu: a small run with tiny
models that shows that everything works; its times say nothing. See bench/README.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("bench", "demo", "tests/comfyui")]

from comfyui_host import Host, find_host, why_no_comfyui  # noqa: E402
from sweep.cells import (  # noqa: E402
    BASE,
    COLD,
    KINDS,
    LIGHTNING_8,
    LOADER,
    LOADER_OFF,
    RELOAD,
    SIDES,
    STOCK,
    UNLIMITED,
    Cell,
    parse_cells,
)
from sweep.environment import cold_read_rate, describe, find_gpu, why_cell_is_impossible  # noqa: E402
from sweep.full_size_models import FILES_OF_RECIPE, files_for, make_full_size_models  # noqa: E402
from sweep.latent_check import check_latents  # noqa: E402
from sweep.limits import LimitError, why_no_cold_files  # noqa: E402
from sweep.plot import draw  # noqa: E402
from sweep.results import Results, Row  # noqa: E402
from sweep.session import Bench, Session, run_sessions  # noqa: E402
from sweep.table import failure_list, prediction_table, result_table, run_line  # noqa: E402
from sweep.targets import verdicts  # noqa: E402
from tiny_models import SHORT_TEXT_ENCODER, ensure_tiny_models, place_models  # noqa: E402

OUTPUT = ROOT / "bench-output"
TINY_PIXELS = 64
NO_GPU = "No NVIDIA GPU is used: a small run with tiny models; its times say nothing."


def main(words: Sequence[str] | None = None) -> int:
    options = parse(words)
    if options.redraw:
        results = Results.join([Results.read(path) for path in options.redraw])
        results.rows = [row for row in results.rows if is_chosen(row, options)]
        results.write(options.output / "results.json")
        report(results, options.output)
        return 0
    if options.comfyui:
        os.environ["COMFYUI_PATH"] = str(options.comfyui.resolve())
    host, reason = find_host(), why_no_comfyui()
    if host is None or reason:
        print(reason)
        return 1
    gpu = None if options.cpu else find_gpu(options.gpu)
    print(", ".join(gpu.values()) if gpu else NO_GPU, flush=True)
    bench = small_bench(host, options) if gpu is None else full_bench(host, options)
    results = Results(describe(host, gpu, bench))
    if not options.latents_only:
        sweep(bench, options, results)
    if options.check_latents or options.latents_only:
        results.latent_checks.extend(check_latents(bench, recipe) for recipe in options.recipes)
        results.write(options.output / "results.json")
    report(results, options.output)
    return 0 if results.rows or results.latent_checks else 1


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--comfyui", type=Path, metavar="DIR", help="a ComfyUI folder; else the one that is found")
    add("--cells", nargs="+", default=None, metavar="VRAMxRAM", help="8x32 8xfree freexfree all; default all")
    add("--recipes", nargs="+", choices=list(FILES_OF_RECIPE), default=None, help="default: Lightning 8 steps and base")
    add("--graphs", nargs="+", choices=list(SIDES), default=None, help="default: stock, loader, modulation off")
    add("--runs", nargs="+", choices=(*KINDS, RELOAD), default=None, help="default: all")
    add("--repeat", type=int, default=None, metavar="N", help="sessions of each graph in each cell; default 3")
    add("--warm", type=int, default=1, metavar="N", help="how often a session repeats new seed and new prompt")
    add("--share", action="store_true", help="a server start for all cells with the same RAM, and all recipes")
    add("--no-reference", action="store_true", help="leave out stock without limits, which steps are compared with")
    add("--models", type=Path, default=OUTPUT / "models", metavar="DIR", help="where the full-size files are or go")
    add("--output", type=Path, default=OUTPUT / "memory", metavar="DIR", help="where results.json and plot.png go")
    add("--gpu", type=int, default=0, metavar="N", help="which GPU, as nvidia-smi counts; default 0")
    add("--flags", default="", help='further server flags in one word: --flags="--disable-pinned-memory"')
    add("--check-latents", action="store_true", help="also compare latents with the modulation table on and off")
    add("--latents-only", action="store_true", help="only that comparison, without the sweep")
    add("--cpu", action="store_true", help="the small run, also where there is a GPU")
    add("--redraw", nargs="+", type=Path, metavar="JSON", help="only join, print and draw earlier results")
    options = parser.parse_args(words)
    try:
        options.cells = options.cells and parse_cells(options.cells)
    except ValueError as error:
        parser.error(str(error))
    if RELOAD in (options.runs or ()) and not options.redraw:
        parser.error(f"--runs {RELOAD}: only --redraw can choose it; with --share it takes the place of '{COLD}'")
    options.flags = tuple(shlex.split(options.flags))
    return options


def small_bench(host: Host, options: argparse.Namespace) -> Bench:
    """Tiny models, one cell, stock and loader once each, unless the command line says otherwise."""
    defaults(options, cells=[UNLIMITED], recipes=[LIGHTNING_8], graphs=[STOCK, LOADER], repeat=1)
    paths = ensure_tiny_models(host, files_for(options.recipes))

    def place(base: Path) -> None:
        place_models(paths, base / "models")
        shutil.copytree(SHORT_TEXT_ENCODER, base / "custom_nodes" / SHORT_TEXT_ENCODER.name)

    flags = ("--cpu", *options.flags)
    return Bench(host, options.output.resolve(), place, None, flags, TINY_PIXELS)


def full_bench(host: Host, options: argparse.Namespace) -> Bench:
    """Full-size models, every cell, with the limits that this user may set."""
    cells, graphs = parse_cells(["all"]), [STOCK, LOADER, LOADER_OFF]
    defaults(options, cells=cells, recipes=[LIGHTNING_8, BASE], graphs=graphs, repeat=3)
    make_full_size_models(host, options.models, options.recipes)

    def place(base: Path) -> None:
        (base / "models").symlink_to(options.models.resolve(), target_is_directory=True)

    folder, gpu, flags = options.output.resolve(), options.gpu, options.flags
    if reason := why_no_cold_files():
        print(f"Cold runs find model files in memory: {reason}.", flush=True)
        return Bench(host, folder, place, gpu, flags)
    files = sorted(options.models.rglob("*.safetensors"), key=lambda file: file.stat().st_size)
    rate = cold_read_rate(files[-1])
    print(f"The disk gives {rate / 1e9:.2f} GB/s to a plain read.", flush=True)
    return Bench(host, folder, place, gpu, flags, cold_files=files, disk_rate=rate)


def defaults(options: argparse.Namespace, **values: object) -> None:
    """Fill in what the command line left open."""
    for name, value in {"runs": list(KINDS), **values}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def sweep(bench: Bench, options: argparse.Namespace, results: Results) -> None:
    """All sessions, stock and loader in turn; results.json is written after each run."""
    for group in servers(options):
        for cell in {session.cell for session in group}:
            if cell.name not in results.skipped and (reason := why_cell_is_impossible(cell, bench.gpu)):
                skip(cell, reason, results)
        left = [session for session in group if session.cell.name not in results.skipped]
        begun = set()
        try:
            for row in run_sessions(bench, left) if left else ():
                results.rows.append(row)
                results.write(options.output / "results.json")
                print(run_line(row), flush=True)
                begun.add((row.cell, row.recipe))
        except LimitError as error:
            for session in left:
                if (session.cell.name, session.recipe) not in begun:
                    skip(session.cell, str(error), results)
        results.write(options.output / "results.json")


def skip(cell: Cell, reason: str, results: Results) -> None:
    results.skipped[cell.name] = reason
    print(f"skipped {cell.name}: {reason}", flush=True)


def is_chosen(row: Row, options: argparse.Namespace) -> bool:
    """Whether the command line asks for this run; what it leaves open is all of it."""
    cells = options.cells and [cell.name for cell in options.cells]
    wanted = ((row.cell, cells), (row.recipe, options.recipes), (row.side, options.graphs), (row.kind, options.runs))
    return all(names is None or value in names for value, names in wanted)


def sessions(options: argparse.Namespace) -> list[Session]:
    """Cell by cell; within one, the graphs take turns, stock first: the others' images are compared with its.

    Stock without limits, the resident reference, comes before all.
    """
    ordered = sorted(options.graphs, key=lambda graph: graph != STOCK)
    reference = {} if options.no_reference else {UNLIMITED: [STOCK]}
    graphs_of: dict[Cell, list[str]] = {**reference, **dict.fromkeys(options.cells, ordered)}
    return [
        Session(cell, recipe, graph, repeat, options.runs, options.warm)
        for cell, graphs in graphs_of.items()
        for recipe in options.recipes
        for repeat in range(options.repeat)
        for graph in graphs
    ]


def servers(options: argparse.Namespace) -> list[list[Session]]:
    """The sessions of each server start: one, or with --share all with the same graph, RAM limit and repeat."""
    if not options.share:
        return [[session] for session in sessions(options)]
    shared: dict[tuple[float | None, int, str], list[Session]] = {}
    for session in sessions(options):
        shared.setdefault((session.cell.ram_gib, session.repeat, session.side), []).append(session)
    return list(shared.values())


def report(results: Results, output: Path) -> None:
    """Tables and verdicts to the screen, the plot beside the JSON."""
    print(f"\nMedians (s: seconds; VRAM, RAM, disk in GiB)\n{result_table(results)}")
    print(f"\nPeak VRAM, predicted and measured (GiB)\n{prediction_table(results.rows)}")
    for check in results.latent_checks:
        verdict = {True: "identical", False: "DIFFERENT", None: f"not compared: {check['error']}"}[check["identical"]]
        print(f"\nLatents with the modulation table on and off, {check['recipe']}: {verdict}")
    print(f"\n{failure_list(results)}")
    if results.environment["gpu"]:
        print("\nTargets\n" + "\n".join(map(str, verdicts(results))))
    output.mkdir(parents=True, exist_ok=True)
    try:
        draw(results, output / "plot.png")
    except (ImportError, ValueError) as error:
        print(f"No plot: {error}. (bench/requirements.txt lists what drawing needs.)")
        return
    print(f"\nWritten to {output}")


if __name__ == "__main__":
    sys.exit(main())
