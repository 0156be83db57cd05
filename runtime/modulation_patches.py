"""A modulation layer on its device as the host would hold it there: cast, patched by LoRAs, wrapped, hooked.

The order and the arithmetic follow the host: `ModelPatcher.patch_weight_to_device` and `patch_hook_weight_to_device`
without dynamic VRAM, `comfy.ops.resolve_cast_module_with_vbar` with it (read in ComfyUI 0.33.0).
"""

from __future__ import annotations

from typing import Any

import comfy.float
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch

from .modulation_weights import ModulationWeights, is_plain

PARAMETERS = ("weight", "bias")


def host_key(weights: ModulationWeights, index: int, parameter: str) -> str:
    """The name by which patches address a parameter."""
    return f"diffusion_model.{weights.names[index]}.{parameter}"


def host_keys(weights: ModulationWeights) -> list[str]:
    """The names of all parameters of all layers."""
    return [host_key(weights, index, name) for index in range(len(weights.names)) for name in PARAMETERS]


def lora_dtype(device: torch.device) -> torch.dtype:
    """The dtype in which the host applies LoRAs without dynamic VRAM; older hosts have one for all."""
    dtype: torch.dtype = getattr(comfy.model_management, "lora_compute_dtype", lambda _: torch.float32)(device)
    return dtype


def patches_any(weights: ModulationWeights, patcher: Any, layers: range) -> bool:
    """Whether LoRAs or weight wrappers of `patcher` touch one of the layers."""
    touched = patcher.patches.keys() | getattr(patcher, "weight_wrapper_patches", {}).keys()
    return bool(touched) and any(host_key(weights, i, name) in touched for i in layers for name in PARAMETERS)


def hooks_any(weights: ModulationWeights, patcher: Any) -> bool:
    """Whether the hooks that are on at the moment (LoRA scheduling) touch a layer."""
    hooked = _hook_patches(patcher)
    return any(key in hooked for key in host_keys(weights))


def may_hook(weights: ModulationWeights, patcher: Any, index: int) -> bool:
    """Whether hooks of `patcher`, on or off at the moment, touch a layer."""
    keys = [host_key(weights, index, name) for name in PARAMETERS]
    return any(key in patches for patches in patcher.hook_patches.values() for key in keys)


def is_dynamic(patcher: Any) -> bool:
    """Whether the host streams this model with dynamic VRAM (older hosts do not know it)."""
    return bool(patcher is not None and hasattr(patcher, "is_dynamic") and patcher.is_dynamic())


def inference_dtype(base_model: Any) -> torch.dtype:
    """The dtype in which the host computes the model; hosts before 0.3.76 have no word of their own for it."""
    if hasattr(base_model, "get_dtype_inference"):
        own: torch.dtype = base_model.get_dtype_inference()
        return own
    dtype: torch.dtype = getattr(base_model, "manual_cast_dtype", None) or base_model.get_dtype()
    return dtype


def load_layer(
    weights: ModulationWeights, index: int, patcher: Any, device: torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    """The caller's own copy of a layer on `device`, ready to run on inputs of `dtype`. `patcher` may be None."""
    layer: Any = weights.copy_layer(index, device)
    if patcher is None:
        return layer
    dynamic = is_dynamic(patcher)
    if dynamic:
        layer.comfy_cast_weights = True
    elif patcher.force_cast_weights:
        layer.comfy_cast_weights = layer.comfy_force_cast_weights = True
    hooked = _hook_patches(patcher)
    for name in PARAMETERS:
        key = host_key(weights, index, name)
        functions = getattr(patcher, "weight_wrapper_patches", {}).get(key)
        if functions:
            setattr(layer, f"{name}_function", list(functions))
        if key in patcher.patches and dynamic:
            _patch_while_casting(layer, name, key, patcher.patches[key], dtype)
        elif key in patcher.patches:
            _patch_in_place(layer, name, key, patcher.patches[key], lora_dtype(device), None)
        if key in hooked:
            original = patcher.get_key_patches(f"diffusion_model.{weights.names[index]}.")
            _patch_in_place(layer, name, key, hooked[key], torch.float32, original)
    return layer


def _hook_patches(patcher: Any) -> dict[str, list[Any]]:
    hooks = getattr(patcher, "current_hooks", None)
    return patcher.get_combined_hook_patches(hooks) if hooks is not None else {}


def _patch_in_place(
    layer: Any, name: str, key: str, patches: list[Any], dtype: torch.dtype, original: dict[str, Any] | None
) -> None:
    """Without dynamic VRAM: patch in `dtype`, then round back into the layer's own format."""
    weight = getattr(layer, name)
    value = comfy.model_management.cast_to_device(weight, weight.device, dtype, copy=True)
    convert = getattr(layer, f"convert_{name}", None)
    if convert is not None:
        value = convert(value, inplace=True)
    value = comfy.lora.calculate_weight(patches, value, key, original_weights=original)
    put_back = getattr(layer, f"set_{name}", None)
    if put_back is not None:
        put_back(value, inplace_update=False, seed=_seed(key))
    else:
        value = comfy.float.stochastic_rounding(value, weight.dtype, seed=_seed(key))
        setattr(layer, name, torch.nn.Parameter(value, requires_grad=False))


def _patch_while_casting(layer: Any, name: str, key: str, patches: list[Any], dtype: torch.dtype) -> None:
    """With dynamic VRAM: patch in the inputs' dtype, as for a streamed layer; round only what stays quantized."""
    weight = getattr(layer, name)
    value = weight.detach().to(dtype=dtype)
    value = value.dequantize() if not is_plain(value) else value.clone()
    value = comfy.lora.calculate_weight(patches, value, key, intermediate_dtype=value.dtype)
    seed = _seed(key.rsplit(".", 1)[0])
    unwrapped = not layer.weight_function and not layer.bias_function
    if not is_plain(weight) and unwrapped and not layer._full_precision_mm:
        value = weight.detach().requantize_from_float(value, scale="recalculate", stochastic_rounding=seed)
    elif name == "weight" and unwrapped and isinstance(layer, comfy.ops.fp8_ops.Linear):
        value = comfy.float.stochastic_rounding(value, weight.dtype, seed=seed)
    setattr(layer, name, torch.nn.Parameter(value, requires_grad=False))


def _seed(text: str) -> int:
    owner = comfy.utils if hasattr(comfy.utils, "string_to_seed") else comfy.model_patcher
    return owner.string_to_seed(text)
