"""The machine and the model files as far as they can be seen without ComfyUI; says what had to be assumed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..planner.catalog_file import FOLDERS, OLD_FOLDERS
from ..planner.found_file import FoundFile
from ..planner.hardware import GIB, KIND_CPU, KIND_CUDA, KIND_MPS, KIND_ROCM, Hardware
from .identify_file import SUFFIX, identify_file

ASSUMED_HOST_VERSION = "0.33.0"
ASSUMED_QUANT_FORMATS = frozenset(
    {"asym_w4a8_int8", "convrot_w4a4", "float8_e4m3fn", "float8_e5m2", "int8_tensorwise", "mxfp8", "nvfp4"}
)  # ComfyUI 0.33.0, comfy.quant_ops.QUANT_ALGOS
ASSUMED_RESERVED_BYTES = int(1.2 * GIB)  # ComfyUI 0.33.0, model_management.minimum_inference_memory
ASSUMED_RAM_BYTES = 16 * GIB


def measure_alone() -> tuple[Hardware, list[str]]:
    """The machine by torch and psutil where this Python has them, and sentences on what could not be measured."""
    notes = [f"Without ComfyUI: planned as for ComfyUI {ASSUMED_HOST_VERSION} with its default settings."]
    ram_total, ram_available = _measure_ram(notes)
    kind, name, total, free, capability = KIND_CPU, "Processor (no GPU seen)", ram_total, ram_available, None
    try:
        import torch
    except ImportError:
        notes.append("This Python has no torch: the graphics card was not measured, planned as if there were none.")
    else:
        if torch.cuda.is_available():
            kind = KIND_ROCM if torch.version.hip else KIND_CUDA
            name = torch.cuda.get_device_name()
            free, total = torch.cuda.mem_get_info()
            capability = torch.cuda.get_device_capability() if kind == KIND_CUDA else None
        elif torch.backends.mps.is_available():
            kind, name = KIND_MPS, "Apple GPU"
    hardware = Hardware(
        kind=kind,
        device_name=name,
        vram_total_bytes=int(total),
        vram_free_bytes=int(free),
        vram_reserved_bytes=ASSUMED_RESERVED_BYTES,
        ram_total_bytes=ram_total,
        ram_available_bytes=ram_available,
        compute_capability=capability,
        supports_bf16=kind != KIND_CUDA or capability is None or capability >= (8, 0),
        supports_fp8_storage=kind != KIND_MPS,
        dynamic_vram=kind == KIND_CUDA,
        host_version=f"{ASSUMED_HOST_VERSION} (assumed)",
        quant_formats=ASSUMED_QUANT_FORMATS,
    )
    return hardware, notes


def roots_below(models: Path, folder: str) -> list[str]:
    """The folders for one kind of model below a models folder, the one for new files first."""
    names = [folder, *filter(None, [OLD_FOLDERS.get(folder)])]
    return [str(models / name) for name in names if name == folder or (models / name).is_dir()]


def find_files_below(models: Path) -> tuple[FoundFile, ...]:
    """Every .safetensors file below a models folder, identified."""
    return tuple(
        identify_file(role, folder, path.relative_to(root).as_posix(), str(path))
        for role, folder in FOLDERS.items()
        for root in map(Path, roots_below(models, folder))
        for path in _model_files(root)
    )


def _model_files(root: Path) -> Iterator[Path]:
    for place, _, names in os.walk(root, followlinks=True):
        yield from (Path(place, name) for name in sorted(names) if name.endswith(SUFFIX))


def _measure_ram(notes: list[str]) -> tuple[int, int]:
    """Total and available bytes."""
    try:
        import psutil

        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available)
    except ImportError:
        pass
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        notes.append("This Python has no psutil: RAM was not measured, planned with 16 GiB.")
        return ASSUMED_RAM_BYTES, ASSUMED_RAM_BYTES
