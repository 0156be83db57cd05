"""The plan and the downloads without a browser: `plan` prints what would be done, `fetch` fetches what is missing.

Inside ComfyUI's folder it sees what ComfyUI sees. Elsewhere it measures what it can by itself and says what it could
not; `--models-directory` then names the models folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from ..planner.catalog import get_catalog_file
from ..planner.catalog_file import CatalogFile
from ..planner.explain import plan_text
from ..planner.load_plan import LoadPlan
from ..planner.memory import gib
from ..planner.node_inputs import CHOICES, DEFAULT_INPUTS, BadInputError, read_inputs
from ..planner.plan import plan
from .download_job import Job
from .download_state import DownloadState
from .see_machine import Machine, is_comfyui, see_machine

BAR_WIDTH = 30
REDRAW_SECONDS = 0.25
LINE_SECONDS = 10.0  # between lines where the output is not a terminal
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = _parser()
    own, for_comfyui = _split(list(sys.argv[1:] if arguments is None else arguments))
    options = parser.parse_args(own)
    inputs = {name: getattr(options, name) for name in DEFAULT_INPUTS if getattr(options, name, None) is not None}
    try:
        request = read_inputs(inputs)
    except BadInputError as error:
        parser.error(str(error))
    if options.comfyui and not is_comfyui(options.comfyui):
        parser.error(f"--comfyui: {options.comfyui} is not ComfyUI's folder (it has no comfyui_version.py).")
    if options.models_directory and not options.models_directory.is_dir():
        parser.error(f"--models-directory: there is no folder {options.models_directory}. Make it, or name another.")
    machine = see_machine(options.comfyui, options.models_directory, for_comfyui)
    load_plan = plan(request, machine.hardware, machine.files)
    if options.command == "fetch" and not load_plan.error:
        return _fetch(load_plan, machine, options)
    _show_plan(load_plan, machine.notes, options.json)
    return FAILED if load_plan.error else 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is for this program, and what after "--" is for ComfyUI."""
    where = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:where], arguments[where + 1 :]


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
    next_line = 0.0
    while not job.wait(REDRAW_SECONDS):  # in short steps: a long wait would not notice Ctrl+C on every system
        state = job.state()
        if is_terminal:
            print(f"\r{_bar(state)} {state.text()}\x1b[K", end="", flush=True)
        elif monotonic() >= next_line:
            next_line = monotonic() + LINE_SECONDS
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
    total = f"To fetch: {gib(sum(row.size_bytes for row in rows))} in {len(rows)} file(s)"
    print(total if rows else "Nothing to fetch: all files are on disk.")
    for row in rows:
        print(f"  {_row_text(row)}")


def _row_text(row: CatalogFile) -> str:
    note = f" ({row.licence_note})" if row.licence_note else ""
    return f"{row.name}, {gib(row.size_bytes)}, into models/{row.folder}, {row.licence}{note}, {row.page_url}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="command_line.py",
        description="Plan and fetch what Load Qwen-Image needs on this machine.",
        epilog="What follows -- are start options of ComfyUI, for example: -- --base-directory DIR",
    )
    parser.add_argument("command", nargs="?", choices=("plan", "fetch"), default="plan", help="default: plan")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--dry-run", action="store_true", help="fetch: only say what would be fetched")
    parser.add_argument("--models-directory", type=Path, metavar="DIR", help="the models folder, instead of ComfyUI's")
    parser.add_argument("--comfyui", type=Path, metavar="DIR", help="ComfyUI's folder, if this pack is not inside it")
    inputs = parser.add_argument_group("the node's inputs")
    for name, default in DEFAULT_INPUTS.items():
        if name != "download_missing":
            choices = f"one of: {', '.join(CHOICES[name])}; " if name in CHOICES else ""
            words = f"{choices}default: {default}"
            inputs.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=words)
    return parser
