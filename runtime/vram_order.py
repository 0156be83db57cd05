"""Which layers stay on a card that is too small for all of them: many small ones rather than few large ones.

ComfyUI with dynamic VRAM keeps the largest layers. Each layer that does not stay costs the processor the same work in
every step (find its copies, start them, prepare its LoRA), whatever its size, and at half a millisecond each the
processor then is slower than a fast card. Of Qwen-Image's 12 large layers a block the 8 of the attention are a quarter
of the size of the other 4: kept instead, they leave less than half as many to stream, as many bytes, and each block
about the same share of them. `get_dynamic_vram__units` is how ComfyUI's models say their order (read in 0.33.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


def keep_attention_first(model: ModelPatcher) -> None:
    """Give the attention layers the first place in VRAM. Hosts that do not ask for an order keep their own.

    Not where the host itself has an order for this model.
    """
    base: Any = model.model
    diffusion_model = getattr(base, "diffusion_model", None)
    if not isinstance(diffusion_model, QwenImageTransformer2DModel) or hasattr(base, "get_dynamic_vram__units"):
        return
    base.get_dynamic_vram__units = _First([block.attn for block in diffusion_model.transformer_blocks])


class _First:
    """Called by the host: (modules that come first, modules that come last). A copy of the model has its own."""

    def __init__(self, modules: list[torch.nn.Module]) -> None:
        self.modules = modules

    def __call__(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        return self.modules, []
