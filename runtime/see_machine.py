"""The machine and its model files for the command line: as ComfyUI sees them where it can be imported, else alone."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..planner.found_file import FoundFile
from ..planner.hardware import Hardware
from .download_target import FindRoots
from .measure_alone import find_files_below, measure_alone, roots_below


@dataclass(frozen=True)
class Machine:
    """What a plan is made from. `find_roots` is None where no models folder is known."""

    hardware: Hardware
    files: tuple[FoundFile, ...]
    find_roots: FindRoots | None
    notes: list[str]


def see_machine(comfyui: Path | None, models: Path | None, flags: list[str]) -> Machine:
    """Through ComfyUI, started with `flags`, where it is (`comfyui`, or where this pack is installed), else without."""
    host = comfyui or find_comfyui()
    if host and is_comfyui(host):
        try:
            machine = _see_through_comfyui(host, flags)
        except ImportError as error:
            notes = [f"ComfyUI is at {host}, but this Python lacks {error.name}: use the Python that runs ComfyUI."]
            models = models or host / "models"
        else:
            return machine if models is None else _with_models(machine.hardware, machine.notes, models)
    else:
        notes = []
    hardware, assumed = measure_alone()
    return _with_models(hardware, [*notes, *assumed], models)


def is_comfyui(folder: Path) -> bool:
    return (folder / "comfyui_version.py").is_file()


def find_comfyui() -> Path | None:
    """The ComfyUI whose custom_nodes folder holds this pack, or None."""
    folder = Path(__file__).absolute().parents[2]
    return folder.parent if folder.name == "custom_nodes" else None


def _with_models(hardware: Hardware, notes: list[str], models: Path | None) -> Machine:
    if models is None:
        return Machine(hardware, (), None, [*notes, "No models folder is known: name one with --models-directory."])
    return Machine(hardware, find_files_below(models), lambda folder: roots_below(models, folder), notes)


def _see_through_comfyui(host: Path, flags: list[str]) -> Machine:
    """Imports ComfyUI's modules, which takes seconds. Raises ImportError where this Python cannot run ComfyUI."""
    sys.path.insert(0, str(host))
    args = _read_comfyui_flags(flags)
    from utils.extra_config import load_extra_path_config

    from .download_target import comfy_roots
    from .measure import measure_hardware
    from .model_files import find_model_files

    configs = [host / "extra_model_paths.yaml", *chain(*(args.extra_model_paths_config or ()))]
    for config in filter(Path.is_file, map(Path, configs)):
        load_extra_path_config(str(config))
    return Machine(measure_hardware(), find_model_files(), comfy_roots, [])


def _read_comfyui_flags(flags: list[str]) -> argparse.Namespace:
    """Let ComfyUI read its own start options, which decide about folders and devices."""
    import comfy.options
    import torch

    accelerators = (torch.cuda, torch.backends.mps, getattr(torch, "xpu", torch.cuda))
    if not any(kind.is_available() for kind in accelerators):
        flags = [*flags, "--cpu"]  # ComfyUI does not start without it where there is no device
    comfy.options.enable_args_parsing()
    own, sys.argv = sys.argv, [sys.argv[0], *flags]
    try:
        from comfy.cli_args import args
    finally:
        sys.argv = own
    return args
