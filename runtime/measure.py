"""Asks ComfyUI about the machine and turns the answers into planner.hardware.Hardware."""

from __future__ import annotations

import torch

from ..planner.hardware import KIND_CPU, KIND_CUDA, KIND_MPS, KIND_ROCM, KIND_XPU, Hardware


def measure_hardware() -> Hardware:
    """The machine ComfyUI runs on, as ComfyUI itself sees it (its flags respected). Cheap: no allocation, no kernel."""
    import comfy.model_management as mm
    import comfyui_version

    from .fast_disk import is_off
    from .ram import available_ram, total_ram

    device = mm.get_torch_device()
    kind = _device_kind(device)
    ram_total, ram_free = total_ram(), available_ram()
    dynamic_vram = _has_dynamic_vram()
    one_memory = kind in (KIND_CPU, KIND_MPS)
    return Hardware(
        kind=kind,
        device_name="Processor (no GPU)" if kind == KIND_CPU else _device_name(device),
        vram_total_bytes=ram_total if one_memory else int(mm.get_total_memory(device)),
        vram_free_bytes=ram_free if one_memory else int(mm.get_free_memory(device)),
        vram_reserved_bytes=int(mm.minimum_inference_memory()),
        ram_total_bytes=ram_total,
        ram_available_bytes=ram_free,
        compute_capability=torch.cuda.get_device_capability(device) if kind == KIND_CUDA else None,
        supports_bf16=bool(mm.should_use_bf16(device)),
        supports_fp8_storage=kind != KIND_MPS,
        dynamic_vram=dynamic_vram,
        host_version=comfyui_version.__version__,
        quant_formats=_quant_formats(),
        risky_flags=_risky_flags(),
        efficient_attention=one_memory or mm.xformers_enabled() or mm.pytorch_attention_flash_attention(),
        fast_disk_is_off=dynamic_vram and is_off(),
    )


def _device_kind(device: torch.device) -> str:
    import comfy.model_management

    if comfy.model_management.is_device_cpu(device):
        return KIND_CPU
    if device.type == "mps":
        return KIND_MPS
    if device.type == "cuda":
        return KIND_ROCM if torch.version.hip else KIND_CUDA
    return KIND_XPU


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return torch.xpu.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else str(device)


def _has_dynamic_vram() -> bool:
    """True where weights are paged into VRAM on demand (ComfyUI 0.12 and later, on NVIDIA cards)."""
    try:
        import comfy.memory_management as memory
    except ImportError:
        return False
    return bool(getattr(memory, "aimdo_enabled", False))


def _quant_formats() -> frozenset[str]:
    try:
        from comfy.quant_ops import QUANT_ALGOS
    except ImportError:
        return frozenset()
    return frozenset(QUANT_ALGOS)


def _risky_flags() -> tuple[str, ...]:
    """Start-up options that users report to give black Qwen pictures (ComfyUI issues 9184, 9773; Qwen-Image 32, 68)."""
    from comfy.cli_args import args

    flags = []
    if getattr(args, "use_sage_attention", False):
        flags.append("--use-sage-attention")
    fast = getattr(args, "fast", None) or ()
    if any(getattr(option, "value", option) == "fp16_accumulation" for option in fast):
        flags.append("--fast fp16_accumulation")
    return tuple(flags)
