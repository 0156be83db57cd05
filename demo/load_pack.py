"""Import the pack outside ComfyUI the way ComfyUI does: from its folder, under a name of our choice."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from comfyui_host import REPOSITORY

NAME = "qwen_image_loader"


def load_pack() -> ModuleType:
    """The pack as package `qwen_image_loader`; then `from qwen_image_loader.planner.plan import plan` works."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    spec = importlib.util.spec_from_file_location(
        NAME, REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no pack at {REPOSITORY}")
    pack = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    return pack
