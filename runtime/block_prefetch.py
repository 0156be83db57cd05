"""Brings all weights of a transformer block to the card at once, while the block before it still computes.

ComfyUI with dynamic VRAM streams layer by layer: a layer with many weights and little to compute (the text side of a
block) then makes the card wait. ComfyUI's own `comfy.model_prefetch` (read in 0.33.0) streams block by block; models
call it in their forward, Qwen-Image does not. Hooks call it here, so that each block that runs is brought, in whatever
order a wrapper runs them. What is computed stays the same.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# Patches that run between a block's own layers may bring weights of their own into the buffer that holds the block's.
INSIDE_OF_BLOCKS = ("attn1_patch", "attn1_output_patch")
OPTIONS_POSITION = 6  # QwenImageTransformer2DModel.forward(x, timestep, context, mask, ref_latents, t_cond, options)


def add_block_prefetch(model: ModelPatcher) -> None:
    """Add the hooks. They do nothing where the host has no prefetch, or none for this model, device or call."""
    diffusion_model = getattr(model.model, "diffusion_model", None)
    if not isinstance(diffusion_model, QwenImageTransformer2DModel):
        return
    try:
        host = importlib.import_module("comfy.model_prefetch")
    except ImportError:
        return
    prefetch = _BlockPrefetch(host)
    diffusion_model.register_forward_pre_hook(prefetch.before_model, with_kwargs=True)
    diffusion_model.register_forward_hook(prefetch.after_model)
    for block in diffusion_model.transformer_blocks:
        block.register_forward_pre_hook(prefetch.before_block)


def is_on_its_way(block: torch.nn.Module) -> bool:
    """Whether the host has begun to bring this block's weights: it notes so in each of their modules."""
    return any(hasattr(module, "_prefetch") for module in block.modules())


class _BlockPrefetch:
    """The host's queue of one forward: never more in it than the block that was brought last and the next one."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._queue: list[Any] | None = None
        self._device: torch.device | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _BlockPrefetch:
        return _BlockPrefetch(self._host)

    def before_model(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._queue = None
        if torch.compiler.is_compiling():
            return
        options = kwargs.get("transformer_options") or (args[OPTIONS_POSITION] if len(args) > OPTIONS_POSITION else {})
        if any(options.get("patches", {}).get(name) for name in INSIDE_OF_BLOCKS):
            return
        self._device = args[0].device
        self._queue = self._host.make_prefetch_queue([], self._device, options)
        if self._queue is not None:
            self._queue.pop()  # the mark of the end, which the host sets because it expects all blocks in advance

    def before_block(self, block: Any, args: tuple[Any, ...]) -> None:
        if self._queue == [None] and is_on_its_way(block):
            self._queue = None  # the host brings this model's blocks itself; twice, it would never let go of them
        self._bring(block)

    def after_model(self, module: Any, args: tuple[Any, ...], output: Any) -> None:
        self._bring(None)
        self._queue = None

    def _bring(self, block: Any) -> None:
        """Give up what the block before used, then start to copy what `block` needs; None: nothing more is needed."""
        if self._queue is None or torch.compiler.is_compiling():
            return
        self._queue.append(block)
        self._host.prefetch_queue_pop(self._queue, self._device, block)
