"""Load Qwen-Image: a ComfyUI node that picks, fetches and loads Qwen-Image files. Importing only registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> ComfyExtension:
    """What ComfyUI calls once at start to learn the pack's nodes and to add its routes."""
    from .nodes.extension import QwenImageLoaderExtension

    return QwenImageLoaderExtension()
