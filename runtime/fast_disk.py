"""Whether ComfyUI reads a file again for weights that it has had in VRAM, instead of keeping copies of them in RAM.

With `--fast-disk` it copies only what VRAM has no room for (`comfy.ops.cast_modules_with_vbar`, read in 0.33.0).
Versions after 0.33 decide it for each model by the disk that its file is on (`comfy.storage`, ComfyUI pull request
16333), unless a flag says so.
"""

from __future__ import annotations

import importlib

from comfy.cli_args import args


def reads_again(path: str) -> bool:
    """True if what VRAM has room for is read from the file `path` each time it comes there."""
    if getattr(args, "high_ram", False) or getattr(args, "disable_fast_disk", False):
        return False
    if getattr(args, "fast_disk", False):
        return True
    try:
        storage = importlib.import_module("comfy.storage")
    except ImportError:
        return False
    return storage.fast_storage(path) is True
