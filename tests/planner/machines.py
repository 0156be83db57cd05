"""Machines and file sets that the planner's tests are written in."""

from __future__ import annotations

import gzip
from dataclasses import replace
from functools import cache
from pathlib import Path

from qwen_image_loader.planner.catalog import CATALOG, get_catalog_file
from qwen_image_loader.planner.catalog_file import FOLDERS
from qwen_image_loader.planner.detect import detect
from qwen_image_loader.planner.found_file import FoundFile
from qwen_image_loader.planner.hardware import GIB, Hardware
from qwen_image_loader.planner.safetensors_header import LENGTH_BYTES, SafetensorsHeader, parse_header

GOLDEN = Path(__file__).parents[1] / "golden_headers"
ALL_QUANTS = frozenset({"float8_e4m3fn", "float8_e5m2", "nvfp4", "mxfp8", "int8_tensorwise"})
MIB = 1024**2


def card(name: str, vram_gib: float, capability: tuple[int, int], *, bf16: bool = True) -> Hardware:
    """An NVIDIA card under a current ComfyUI with dynamic VRAM, and 32 GiB of RAM."""
    vram = int(vram_gib * GIB)
    return Hardware(
        kind="cuda",
        device_name=name,
        vram_total_bytes=vram,
        vram_free_bytes=vram,
        vram_reserved_bytes=int(0.8 * GIB) + 400 * MIB,
        ram_total_bytes=32 * GIB,
        ram_available_bytes=24 * GIB,
        compute_capability=capability,
        supports_bf16=bf16,
        supports_fp8_storage=True,
        dynamic_vram=True,
        host_version="0.33.0",
        quant_formats=ALL_QUANTS,
    )


def one_memory(kind: str, name: str, ram_gib: int) -> Hardware:
    """A machine whose weights live in RAM: Apple, or no GPU at all."""
    ram = ram_gib * GIB
    return replace(
        card(name, 0, (0, 0)),
        kind=kind,
        vram_total_bytes=ram,
        vram_free_bytes=ram,
        ram_total_bytes=ram,
        ram_available_bytes=ram,
        compute_capability=None,
        supports_fp8_storage=kind != "mps",
        dynamic_vram=False,
    )


MACHINES = {
    "4060Ti-8": card("RTX 4060 Ti", 7.996, (8, 9)),
    "3060-12": card("RTX 3060", 11.99, (8, 6)),
    "4060Ti-16": card("RTX 4060 Ti 16 GB", 15.99, (8, 9)),
    "4090-24": card("RTX 4090", 23.99, (8, 9)),
    "5090-32": card("RTX 5090", 31.84, (12, 0)),
    "A6000-48": card("RTX A6000", 47.99, (8, 6)),
    "H100-80": card("H100", 79.2, (9, 0)),
    "1080-8": card("GTX 1080", 8.0, (6, 1), bf16=False),
    "7900XT-20": replace(card("RX 7900 XT", 19.98, (0, 0)), kind="rocm", compute_capability=None, dynamic_vram=False),
    "M2-32": one_memory("mps", "Apple GPU", 32),
    "M2-64": one_memory("mps", "Apple GPU", 64),
    "M2-96": one_memory("mps", "Apple GPU", 96),
    "cpu-32": one_memory("cpu", "Processor (no GPU)", 32),
    "cpu-64": one_memory("cpu", "Processor (no GPU)", 64),
}


def machine(name: str, ram_gib: int = 0) -> Hardware:
    """A row of MACHINES, with another amount of RAM if `ram_gib` says so."""
    hardware = MACHINES[name]
    if not ram_gib:
        return hardware
    ram = ram_gib * GIB
    changed = replace(hardware, ram_total_bytes=ram, ram_available_bytes=ram)
    return replace(changed, vram_total_bytes=ram, vram_free_bytes=ram) if hardware.one_memory else changed


@cache
def golden_header(name: str) -> SafetensorsHeader:
    """The golden header of a catalog file."""
    data = gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes())
    return parse_header(data, golden_size(name))


@cache
def golden_size(name: str) -> int:
    """The size in bytes of a file with this golden header."""
    import json

    data = gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes())
    header = json.loads(data)
    end = max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
    return LENGTH_BYTES + len(data) + end


def on_disk(name: str, listed_name: str = "") -> FoundFile:
    """A catalog file as found on disk, identified from its golden header; `listed_name` to rename or move it."""
    row = get_catalog_file(name)
    listed = listed_name or name
    header = golden_header(name)
    identity = detect(row.role, listed, golden_size(name), header)
    return FoundFile(row.folder, listed, golden_size(name), identity=identity)


def broken(role: str, name: str, problem: str) -> FoundFile:
    """A damaged file."""
    return FoundFile(FOLDERS[role], name, 7_000_000_000, problem=problem, broken=True)


BASE_FP8 = "qwen_image_fp8_e4m3fn.safetensors"
BASE_BF16 = "qwen_image_bf16.safetensors"
SCALED = "qwen_image_fp8_e4m3fn_scaled.safetensors"
DISTILL_FP8 = "qwen_image_distill_full_fp8_e4m3fn.safetensors"
DISTILL_BF16 = "qwen_image_distill_full_bf16.safetensors"
TEXT = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
TEXT_BF16 = "qwen_2.5_vl_7b.safetensors"
VAE = "qwen_image_vae.safetensors"
L8 = "Qwen-Image-Lightning-8steps-V1.0.safetensors"
L4_V2 = "Qwen-Image-Lightning-4steps-V2.0-bf16.safetensors"
L4_FP8 = "Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-fp32.safetensors"
B2512_FP8 = "qwen_image_2512_fp8_e4m3fn.safetensors"
B2512_BF16 = "qwen_image_2512_bf16.safetensors"
L4_2512 = "Qwen-Image-2512-Lightning-4steps-V1.0-bf16.safetensors"
FUSED_2512 = "qwen_image_2512_fp8_e4m3fn_scaled_comfyui_4steps_v1.0.safetensors"
EDIT_2511 = "qwen_image_edit_2511_fp8mixed.safetensors"
L4_2511 = "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"
LAYERED = "qwen_image_layered_fp8mixed.safetensors"

FILE_SETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "six": (BASE_FP8, DISTILL_FP8, DISTILL_BF16, TEXT, VAE, L8),
    "bf16": (BASE_BF16, TEXT, VAE),
    "bf16+L8": (BASE_BF16, TEXT, VAE, L8),
    "base fp8": (BASE_FP8, TEXT, VAE),
    "fp8+fp8 L4": (BASE_FP8, TEXT, VAE, L4_FP8),
    "six+fp8 L4": (BASE_FP8, DISTILL_FP8, DISTILL_BF16, TEXT, VAE, L8, L4_FP8),
    "scaled+L4": (SCALED, TEXT, VAE, L4_V2),
    "distill only": (DISTILL_FP8, TEXT, VAE),
    "wrong LoRA": (L4_2512,),
    "weights only": (BASE_FP8,),
    "2512": (B2512_FP8, TEXT, VAE, L4_2512),
    "2512 bf16": (B2512_BF16, TEXT, VAE, L4_2512),
    "2512 fused": (B2512_FP8, FUSED_2512, TEXT, VAE, L4_2512),
    "2511": (EDIT_2511, TEXT, VAE, L4_2511),
    "two encoders": (BASE_FP8, TEXT, TEXT_BF16, VAE),
    "apple": (BASE_BF16, TEXT_BF16, VAE, L8),
    "everything": tuple(row.name for row in CATALOG),
}


def files_of(name: str) -> tuple[FoundFile, ...]:
    """A row of FILE_SETS as found files."""
    return tuple(on_disk(file) for file in FILE_SETS[name])
