"""Brings all weights of a transformer block to the card at once, while the block before it still computes.

ComfyUI with dynamic VRAM streams layer by layer: a layer with many weights and little to compute (the text side of a
block) then makes the card wait. ComfyUI's own `comfy.model_prefetch` (read in 0.33.0) streams block by block; models
call it in their forward, Qwen-Image does not. Hooks call it here, so that each block that runs is brought, in whatever
order a wrapper runs them. What is computed stays the same.

The host has the card wait for a whole block as soon as it is brought. Where attention stays in VRAM only the MLPs'
weights are on their way, and the card can compute the attention meanwhile: so it waits before the first layer that
needs them (bench/NOTES.md, *What holds a streamed step up on a fast card*).
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
AFTER_ATTENTION = ("img_mlp", "txt_mlp")
OPTIONS_POSITION = 6  # QwenImageTransformer2DModel.forward(x, timestep, context, mask, ref_latents, t_cond, options)


def add_block_prefetch(model: ModelPatcher, *, waits_late: bool = True) -> None:
    """Add the hooks. They do nothing where the host has no prefetch, or none for this model, device or call.

    `waits_late`: attention may be computed while what the MLPs need is still on its way.
    """
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
        for layer in _after_attention(block) if waits_late else ():
            layer.register_forward_pre_hook(prefetch.before_layer)


def _after_attention(block: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers with weights that a block runs after its attention."""
    parts = (getattr(block, name) for name in AFTER_ATTENTION)
    return [layer for part in parts for layer in part.modules() if getattr(layer, "weight", None) is not None]


def is_on_its_way(block: torch.nn.Module) -> bool:
    """Whether the host has begun to bring this block's weights: it notes so in each of their modules."""
    return any(hasattr(module, "_prefetch") for module in block.modules())


class _BlockPrefetch:
    """The host's queue of one forward: never more in it than the block that was brought last and the next one.

    With CUDA `_beside` is the stream that waits for what is brought, in place of the one that computes. `_is_awaited`:
    the one that computes has not waited for it yet; before each layer that has `before_layer` as a hook it does.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._queue: list[Any] | None = None
        self._device: torch.device | None = None
        self._beside: torch.cuda.Stream | None = None
        self._is_awaited = False

    def __deepcopy__(self, memo: dict[int, Any]) -> _BlockPrefetch:
        return _BlockPrefetch(self._host)

    def before_model(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._queue = None
        if torch.compiler.is_compiling():
            return
        self._wait()  # after a forward that failed
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

    def before_layer(self, layer: Any, args: tuple[Any, ...]) -> None:
        if self._is_awaited:
            self._wait()

    def after_model(self, module: Any, args: tuple[Any, ...], output: Any) -> None:
        self._bring(None)
        self._queue = None

    def _bring(self, block: Any) -> None:
        """Give up what the block before used, then start to copy what `block` needs; None: nothing more is needed."""
        if self._queue is None or torch.compiler.is_compiling():
            return
        self._wait()
        self._queue.append(block)
        if block is None or not self._has_streams():
            self._host.prefetch_queue_pop(self._queue, self._device, block)
            return
        self._beside = self._beside or torch.cuda.Stream(self._device)
        self._beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._beside):
            self._host.prefetch_queue_pop(self._queue, self._device, block)
        self._is_awaited = True
        if not all(self._may_come_late(module) for module in block.modules() if hasattr(module, "_prefetch")):
            self._wait()

    def _has_streams(self) -> bool:
        return self._device is not None and self._device.type == "cuda"

    def _may_come_late(self, module: Any) -> bool:
        """Whether a module that the host brings is in VRAM already, or will be waited for by its own hook."""
        return bool(module._prefetch.get("resident")) or self.before_layer in module._forward_pre_hooks.values()

    def _wait(self) -> None:
        """Have the card compute nothing more before what was brought is there."""
        if self._is_awaited and self._beside is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._beside)
        self._is_awaited = False
