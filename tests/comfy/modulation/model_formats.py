"""Rewrites a tiny bf16 Qwen-Image file in another weight format or spelling that ComfyUI loads.

The formats that are simple to say are written out here; the others are made by ComfyUI's own `QuantizedTensor`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

try:
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor
except ImportError:  # hosts before 0.3.68
    QUANT_ALGOS = {}

Tensors = dict[str, torch.Tensor]
FP8 = torch.float8_e4m3fn


def _is_weight(name: str, tensor: torch.Tensor) -> bool:
    """What is quantized here: the modulation layers and, for company, attention."""
    return tensor.ndim == 2 and ("_mod.1" in name or ".attn." in name)


def _with_weights(tensors: Tensors, quantize: Callable[[str, torch.Tensor], Tensors]) -> Tensors:
    """Each weight replaced by what `quantize(name, weight)` makes of it."""
    out: Tensors = {}
    for name, tensor in tensors.items():
        out.update(quantize(name, tensor) if _is_weight(name, tensor) else {name: tensor})
    return out


def scaled_fp8(tensors: Tensors) -> Tensors:
    """The older spelling: `scale_weight` beside each weight and one `scaled_fp8` mark."""

    def quantize(name: str, weight: torch.Tensor) -> Tensors:
        scale = weight.float().abs().max() / 448
        return {name: (weight.float() / scale).to(FP8), name.removesuffix("weight") + "scale_weight": scale}

    return {"scaled_fp8": torch.zeros(0, dtype=FP8)} | _with_weights(tensors, quantize)


def comfy_quant_fp8(tensors: Tensors) -> Tensors:
    """ComfyUI's present spelling: `weight_scale` and a `comfy_quant` mark beside each weight."""

    def quantize(name: str, weight: torch.Tensor) -> Tensors:
        scale = weight.float().abs().max() / 448
        return {name: (weight.float() / scale).to(FP8)} | _marks(name, scale, "float8_e4m3fn")

    return _with_weights(tensors, quantize)


def checkpoint_fp8(tensors: Tensors) -> Tensors:
    """That, under the names of a full checkpoint."""
    return {f"model.diffusion_model.{name}": tensor for name, tensor in comfy_quant_fp8(tensors).items()}


def comfy_quant_int8(tensors: Tensors) -> Tensors:
    """8-bit integers with one scale a tensor."""

    def quantize(name: str, weight: torch.Tensor) -> Tensors:
        scale = weight.float().abs().max() / 127
        return {name: (weight.float() / scale).round().to(torch.int8)} | _marks(name, scale, "int8_tensorwise")

    return _with_weights(tensors, quantize)


def quantized_but_modulation(tensors: Tensors) -> Tensors:
    """A mixed file: int8, but modulation kept in bf16, as several releases on the hub do."""
    quantized = comfy_quant_int8(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if "_mod." in name}
    return {name: tensor for name, tensor in quantized.items() if "_mod." not in name} | kept


def _marks(name: str, scale: torch.Tensor, weight_format: str) -> Tensors:
    layer = name.removesuffix("weight")
    return {f"{layer}weight_scale": scale, f"{layer}comfy_quant": _mark(format=weight_format)}


def _mark(**said: Any) -> torch.Tensor:
    return torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)


def _by_the_host(weight_format: str, mark: dict[str, Any], how: dict[str, Any], tensors: Tensors) -> Tensors:
    """Quantized by `QuantizedTensor.from_float` with the arguments `how`; `mark` is said beside the format."""
    layout = QUANT_ALGOS[weight_format]["comfy_tensor_layout"]

    def quantize(name: str, weight: torch.Tensor) -> Tensors:
        made = QuantizedTensor.from_float(weight, layout, **how)
        parts = {part: value.contiguous() for part, value in made.state_dict(name).items()}
        return parts | {name.removesuffix("weight") + "comfy_quant": _mark(format=weight_format, **mark)}

    return _with_weights(tensors, quantize)


CONVROT = {"convrot": True, "convrot_groupsize": 256}
# Name -> ComfyUI's name of the format, what the mark says beside it, how it is made.
BY_THE_HOST: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "nvfp4": ("nvfp4", {}, {"scale": "recalculate"}),
    "int8_convrot": ("int8_tensorwise", CONVROT, {"per_channel": True, "convrot": True, "is_weight": True}),
}
FORMATS: dict[str, Callable[[Tensors], Tensors]] = {
    "scaled_fp8": scaled_fp8,
    "checkpoint_fp8": checkpoint_fp8,
    "comfy_quant_int8": comfy_quant_int8,
    "quantized_but_modulation": quantized_but_modulation,
    **{name: partial(_by_the_host, *known) for name, known in BY_THE_HOST.items() if known[0] in QUANT_ALGOS},
}


def rewrite(source: str, folder: Path, weight_format: str) -> str:
    """The path of `source` in another format, under `folder`."""
    target = folder / f"{weight_format}.safetensors"
    save_file(FORMATS[weight_format](load_file(source)), target)
    return str(target)
