"""Everything besides weights and inputs that can change the bits a modulation layer returns, as one line of text."""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache
from typing import Any

import torch

from .modulation_patches import is_dynamic


def describe_arithmetic(layer: Any, patcher: Any, device: torch.device) -> str:
    """The layer's class and format, how the host runs it, versions, the device and torch's precision settings."""
    forced = patcher is not None and patcher.force_cast_weights
    formats = tuple(getattr(layer, name, None) for name in ("quant_format", "_full_precision_mm", "comfy_cast_weights"))
    dtypes = tuple(str(getattr(layer, f"{name}_comfy_model_dtype", None)) for name in ("weight", "bias"))
    facts = (type(layer).__qualname__, formats, dtypes, forced, is_dynamic(patcher), *_versions(), *_settings(device))
    return " ".join(map(str, facts))


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    import comfyui_version  # the host's own, at the root of its folder

    try:
        kernels = importlib.metadata.version("comfy-kitchen")
    except importlib.metadata.PackageNotFoundError:
        kernels = "none"
    return torch.__version__, comfyui_version.__version__, kernels


def _float32_precision() -> tuple[Any, ...]:
    """By PyTorch's older interface where that was used, else by the newer one, which makes the older one raise."""
    try:
        return (torch.get_float32_matmul_precision(),)
    except RuntimeError:
        parts = (torch.backends, torch.backends.cuda.matmul, torch.backends.cudnn, torch.backends.mkldnn)
        matmul = getattr(torch.backends.mkldnn, "matmul", None)
        return tuple(getattr(part, "fp32_precision", None) for part in (*parts, matmul))


def _settings(device: torch.device) -> tuple[Any, ...]:
    shared = (device.type, *_float32_precision(), torch.are_deterministic_algorithms_enabled())
    if device.type == "cpu":
        capability = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "unknown")()
        return (*shared, capability, torch.get_num_threads())
    if device.type != "cuda":
        return shared
    matmul = torch.backends.cuda.matmul
    reductions = [
        getattr(matmul, name, None)
        for name in (
            "allow_fp16_reduced_precision_reduction",
            "allow_bf16_reduced_precision_reduction",
            "allow_fp16_accumulation",
        )
    ]
    properties = torch.cuda.get_device_properties(device)
    return (*shared, properties.name, properties.multi_processor_count, *reductions)
