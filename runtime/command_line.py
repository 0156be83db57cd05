"""The plan and the downloads without a browser: `plan` prints what would be done, `fetch` fetches what is missing.

Inside ComfyUI's folder it sees what ComfyUI sees. Elsewhere it measures what it can by itself and says what it could
not; `--models-directory` then names the models folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..planner.catalog import get_catalog_file
from ..planner.catalog_file import CatalogFile
from ..planner.explain import plan_text
from ..planner.found_file import FoundFile
from ..planner.hardware import Hardware
from ..planner.load_plan import LoadPlan
from ..planner.memory import gib
from ..planner.node_inputs import DEFAULT_INPUTS, BadInputError, read_inputs
from ..planner.plan import plan
from .download_job import Job
from .download_state import DownloadState
from .download_target import FindRoots
from .measure_alone import find_files_below, measure_alone, roots_below

BAR_WIDTH = 30
REDRAW_SECONDS = 0.25
LINE_SECONDS = 10.0  # between lines where the output is not a terminal
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Machine:
    """What a plan is made from. `find_roots` is None where no models folder is known."""

    hardware: Hardware
    files: tuple[FoundFile, ...]
    find_roots: FindRoots | None
    notes: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    inputs = {name: getattr(options, name) for name in DEFAULT_INPUTS if getattr(options, name, None) is not None}
    try:
        request = read_inputs(inputs)
    except BadInputError as error:
        parser.error(str(error))
    machine = see_machine(options.comfyui, options.models_directory)
    load_plan = plan(request, machine.hardware, machine.files)
    if options.command == "fetch" and not load_plan.error:
        return _fetch(load_plan, machine, options)
    _show_plan(load_plan, machine.notes, options.json)
    return FAILED if load_plan.error else 0


def see_machine(comfyui: Path | None, models: Path | None) -> Machine:
    """Through ComfyUI where it is (`comfyui`, or the folder this pack is installed in), else without it."""
    host = comfyui or find_comfyui()
    if host and (host / "comfyui_version.py").is_file():
        try:
            machine = _see_through_comfyui(host)
        except ImportError as error:
            notes = [f"ComfyUI is at {host}, but this Python lacks {error.name}: use the Python that runs ComfyUI."]
            models = models or host / "models"
        else:
            return machine if models is None else _with_models(machine.hardware, machine.notes, models)
    else:
        notes = []
    hardware, assumed = measure_alone()
    return _with_models(hardware, [*notes, *assumed], models)


def find_comfyui() -> Path | None:
    """The ComfyUI whose custom_nodes folder holds this pack, or None."""
    folder = Path(__file__).absolute().parents[2]
    return folder.parent if folder.name == "custom_nodes" else None


def _with_models(hardware: Hardware, notes: list[str], models: Path | None) -> Machine:
    if models is None:
        return Machine(hardware, (), None, [*notes, "No models folder is known: name one with --models-directory."])
    return Machine(hardware, find_files_below(models), lambda folder: roots_below(models, folder), notes)


def _see_through_comfyui(host: Path) -> Machine:
    """Imports ComfyUI's modules, which takes seconds. Raises ImportError where this Python cannot run ComfyUI."""
    sys.path.insert(0, str(host))
    from utils.extra_config import load_extra_path_config

    from .download_target import comfy_roots
    from .measure import measure_hardware
    from .model_files import find_model_files

    extra = host / "extra_model_paths.yaml"
    if extra.is_file():
        load_extra_path_config(str(extra))
    return Machine(measure_hardware(), find_model_files(), comfy_roots, [])


def _show_plan(load_plan: LoadPlan, notes: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"plan": load_plan.to_json(), "text": plan_text(load_plan), "notes": notes}, indent=1))
        return
    for note in notes:
        print(f"Note: {note}")
    print(plan_text(load_plan))
    if load_plan.missing:
        print("Missing, `fetch` brings them:")
        for row in _rows(load_plan):
            print(f"  {_row_text(row)}")


def _fetch(load_plan: LoadPlan, machine: Machine, options: argparse.Namespace) -> int:
    rows = _rows(load_plan)
    if options.dry_run:
        _show_rows(rows, options.json)
        return 0
    if machine.find_roots is None:
        print("No models folder is known: name one with --models-directory.", file=sys.stderr)
        return BAD_USAGE
    if not rows:
        _say({"download": DownloadState(finished=True).to_json()}, "Nothing is missing.", options.json)
        return 0
    if not options.json:
        _show_rows(rows, as_json=False)
    job = Job(rows, machine.find_roots)
    job.start()
    try:
        _follow(job, options.json)
    except KeyboardInterrupt:
        job.cancel()
    state = job.state()
    if state.cancelled:
        _say({"download": state.to_json()}, "Stopped. What has arrived is kept for the next time.", options.json)
        return INTERRUPTED
    if state.error:
        _say({"download": state.to_json()}, state.error["message"], options.json)
        return FAILED
    _say({"download": state.to_json()}, f"{len(rows)} file(s) are complete.", options.json)
    return 0


def _follow(job: Job, as_json: bool) -> None:
    is_terminal = sys.stdout.isatty() and not as_json
    while not job.wait(REDRAW_SECONDS if is_terminal else LINE_SECONDS):
        state = job.state()
        if is_terminal:
            print(f"\r{_bar(state)} {state.text()}\x1b[K", end="", flush=True)
        else:
            _say({"download": state.to_json()}, state.text(), as_json)
    if is_terminal:
        print()


def _bar(state: DownloadState) -> str:
    full = int(BAR_WIDTH * state.done_bytes / state.total_bytes) if state.total_bytes else 0
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}]"


def _say(value: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(value) if as_json else text, flush=True)


def _rows(load_plan: LoadPlan) -> list[CatalogFile]:
    return [get_catalog_file(file.catalog_name) for file in load_plan.missing]


def _show_rows(rows: list[CatalogFile], as_json: bool) -> None:
    if as_json:
        keys = ("name", "folder", "size_bytes", "url", "licence", "licence_note")
        print(json.dumps({"would_fetch": [{key: getattr(row, key) for key in keys} for row in rows]}, indent=1))
        return
    print(f"To fetch: {gib(sum(row.size_bytes for row in rows))} in {len(rows)} file(s)")
    for row in rows:
        print(f"  {_row_text(row)}")


def _row_text(row: CatalogFile) -> str:
    note = f" ({row.licence_note})" if row.licence_note else ""
    return f"{row.name}, {gib(row.size_bytes)}, into models/{row.folder}, {row.licence}{note}, {row.page_url}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="command_line.py", description="Plan and fetch what Load Qwen-Image needs on this machine."
    )
    parser.add_argument("command", nargs="?", choices=("plan", "fetch"), default="plan", help="default: plan")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--dry-run", action="store_true", help="fetch: only say what would be fetched")
    parser.add_argument("--models-directory", type=Path, metavar="DIR", help="the models folder, instead of ComfyUI's")
    parser.add_argument("--comfyui", type=Path, metavar="DIR", help="ComfyUI's folder, where this pack is not in it")
    inputs = parser.add_argument_group("the node's inputs")
    for name, default in DEFAULT_INPUTS.items():
        if name != "download_missing":
            inputs.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=f"default: {default}")
    return parser
