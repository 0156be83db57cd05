"""Registers the pack's nodes and routes with ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .load_part import LoadPart
from .load_qwen_image import LoadQwenImage


class QwenImageLoaderExtension(ComfyExtension):
    """One node for users, one hidden part of it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadQwenImage, LoadPart]
