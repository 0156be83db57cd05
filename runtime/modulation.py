"""The modulation table's public face: take the modulation layers of a fresh Qwen-Image model out of the host's sight.

One third of the model (6.8 of 20.4 billion parameters) then is neither in VRAM, nor streamed, nor kept in RAM, and the
images are the same bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
from comfy.model_patcher import ModelPatcher

from .log import log
from .modulation_cache import ModulationCache
from .modulation_table import ModulationTable
from .modulation_weights import LINEARS, BeforeReading, ModulationSourceError, ModulationWeights


def find_unsupported(model: ModelPatcher) -> str | None:
    """Why the table cannot be used with this model, in words for the user, or None if it can."""
    diffusion_model = getattr(model.model, "diffusion_model", None)
    if type(diffusion_model) is not QwenImageTransformer2DModel:
        return f"the modulation table knows Qwen-Image 1.x, not {type(diffusion_model).__name__}"
    width = diffusion_model.inner_dim
    for number, block in enumerate(diffusion_model.transformer_blocks):
        for name in LINEARS:
            part = getattr(block, name, None)
            if not isinstance(part, torch.nn.Sequential) or len(part) != 2 or not isinstance(part[0], torch.nn.SiLU):
                return f"block {number} has no {name} of the known kind (SiLU, Linear)"
            linear = part[1]
            if (getattr(linear, "in_features", 0), getattr(linear, "out_features", 0)) != (width, 6 * width):
                return f"{name} of block {number} is not a Linear({width}, {6 * width})"
            if getattr(linear, "weight", None) is None:
                return f"{name} of block {number} has no weight; the model file lacks it"
    if model.model.model_loaded_weight_memory or model.is_injected:
        return "the model is on its device already; the table must be applied to a freshly loaded model"
    return None


def apply_modulation_table(
    model: ModelPatcher, source_path: str, cache_dir: str, before_reading: BeforeReading | None = None
) -> ModelPatcher:
    """Hide the modulation layers of `model`, just loaded from `source_path`; rows are kept in `cache_dir`.

    Changes the inner model, so every clone has it, and returns `model`. `before_reading` is told which block's layers
    are about to be read from the file. A file that they cannot be read from again (not safetensors, or not what the
    host made of it) leaves the model as it was, with a warning.
    Raises ValueError when `find_unsupported` has a reason.
    """
    reason = find_unsupported(model)
    if reason is not None:
        raise ValueError(f"{source_path}: {reason}")
    diffusion_model = model.model.diffusion_model
    try:
        weights = ModulationWeights(diffusion_model, source_path, before_reading)
    except ModulationSourceError as error:
        log.warning(f"The modulation table is not used: {error}")
        return model
    visible_bytes = model.model_size() - weights.loaded_bytes
    cache = ModulationCache(cache_dir, source_path=source_path)
    ModulationTable(model.model, weights, cache).attach(diffusion_model)
    model.size = visible_bytes  # the state dict still shows the hidden layers, so the host must not count by itself
    made_by = getattr(model, "cached_patcher_init", None)
    if made_by is not None:
        model.cached_patcher_init = (_make_again, (made_by, source_path, cache_dir))
    return model


def has_rows(source_path: str, cache_dir: str) -> bool:
    """Whether a table of this file was stored before, so that its modulation layers will hardly be read."""
    return ModulationCache(cache_dir, source_path=source_path).has_rows_of_source()


def _make_again(
    made_by: tuple[Any, ...], source_path: str, cache_dir: str, disable_dynamic: bool = False
) -> ModelPatcher:
    """A second fresh model with a table of its own: the host asks for one for torch.compile and for other GPUs."""
    factory, args, *index = made_by
    made = factory(*args, disable_dynamic=True) if disable_dynamic else factory(*args)
    return apply_modulation_table(made[index[0]] if index else made, source_path, cache_dir)
