"""Where the pack keeps its own small state, outside of what ComfyUI serves over HTTP."""

from __future__ import annotations

import os

import folder_paths

NAME = "qwen_image_loader"


def own_folder(part: str) -> str:
    """The folder for one kind of state; made by whoever writes there. ComfyUI 0.3.76 and later say where it belongs."""
    if hasattr(folder_paths, "get_system_user_directory"):
        root = folder_paths.get_system_user_directory(NAME)
    else:
        root = os.path.join(folder_paths.get_user_directory(), f"__{NAME}")
    return os.path.join(root, part)
