"""Leaves the diffusion model in VRAM while the text encoder runs, but for what the text encoder cannot do without.

ComfyUI with dynamic VRAM gives a text encoder all of a small card, and the diffusion model, whose turn is next, is
brought back layer by layer, each with its LoRA. A text encoder runs each layer once, so it gains nothing from having
all of them there. `ModelVBAR.set_watermark_limit` says how much of a model others may not push out; ComfyUI lifts that
limit after each node (read in comfy-aimdo 0.4.13 and ComfyUI 0.33.0), and it is lifted here as soon as the text is
encoded, for nodes that do more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import comfy.model_management
import torch
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

from .modulation_patches import is_dynamic

WORKSPACE_BYTES = 5 * 1024**3 // 4  # layers on their way, what the host and the card keep for themselves
TOKEN_BYTES = 512 * 1024  # float32, as ComfyUI encodes: 3 rows of the MLP (18944 wide), 20 of the model (3584)
IMAGE_TOKENS = 1500  # of a megapixel; the vision layers come before the others and need less


def keep_while_encoding(clip: Any) -> None:
    """Add the hooks to a CLIP's text models. They do nothing where the host does not stream."""
    for text_model in clip.cond_stage_model.children():
        text_model.register_forward_pre_hook(_protect)
        text_model.register_forward_hook(_release, always_call=True)


def bytes_needed(largest_weight: int, prompts: Iterable[Iterable[Any]]) -> int:
    """What encoding takes in VRAM beside the weights that can wait for their turn.

    A prompt is token numbers and, in place of images and embeddings, anything else.
    """
    tokens = sum(1 if isinstance(token, int) else IMAGE_TOKENS for prompt in prompts for token in prompt)
    return largest_weight + WORKSPACE_BYTES + tokens * TOKEN_BYTES


def bytes_to_keep(sizes: Sequence[int], free: int, needed: int) -> list[int]:
    """How much of each model stays: what is short of `needed` is taken from the models used longest ago, the last."""
    short, kept = max(0, needed - free), []
    for size in reversed(sizes):
        taken = min(size, short)
        short -= taken
        kept.insert(0, size - taken)
    return kept


def _protect(text_model: torch.nn.Module, args: tuple[Any, ...]) -> None:
    patchers = _streamed()
    own = next((patcher for patcher in patchers if text_model in patcher.model.children()), None)
    if own is None or (room := _vram_of(own)) is None:
        return
    models = _diffusion_models(patchers, own.load_device)
    largest = max(weight.numel() * weight.element_size() for weight in text_model.parameters())
    free = comfy.model_management.get_free_memory(own.load_device) + room.loaded_size()
    kept = bytes_to_keep([model.loaded_size() for model in models], free, bytes_needed(largest, args[0]))
    for model, size in zip(models, kept, strict=True):
        model.set_watermark_limit(size)


def _release(*_: object) -> None:
    for model in _diffusion_models(_streamed(), device=None):
        model.set_watermark_limit(0)


def _streamed() -> list[Any]:
    """The patchers of all models that are loaded with dynamic VRAM, the latest first; none in a compilation."""
    if torch.compiler.is_compiling():
        return []
    return [patcher for patcher in comfy.model_management.loaded_models() if is_dynamic(patcher)]


def _diffusion_models(patchers: Iterable[Any], device: torch.device | None) -> list[Any]:
    """What the Qwen-Image models among them hold in VRAM, on one device or on all."""
    models = (
        _vram_of(patcher)
        for patcher in patchers
        if device in (None, patcher.load_device)
        and isinstance(getattr(patcher.model, "diffusion_model", None), QwenImageTransformer2DModel)
    )
    return [model for model in models if model is not None]


def _vram_of(patcher: Any) -> Any:
    """The host's ModelVBAR of a model; None before it is loaded, and where the host has none."""
    return getattr(patcher.model, "dynamic_vbars", {}).get(patcher.load_device)
