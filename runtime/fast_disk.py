"""ComfyUI's `--fast-disk`: files are read again for weights that were in VRAM, instead of keeping copies in RAM.

With it ComfyUI copies only what VRAM has no room for (`comfy.ops.cast_modules_with_vbar`, read in 0.33.0).
Versions after 0.33 decide it for each model by the disk that its file is on (`comfy.storage`, ComfyUI pull request
16333), unless a flag says so.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from comfy.cli_args import args


def reads_again(path: str) -> bool:
    """True if what VRAM has room for is read from the file `path` each time it comes there."""
    if getattr(args, "high_ram", False) or getattr(args, "disable_fast_disk", False):
        return False
    if getattr(args, "fast_disk", False):
        return True
    storage = _host_storage()
    return storage is not None and storage.fast_storage(path) is True


def is_off() -> bool:
    """True where ComfyUI knows `--fast-disk`, was started without it, and does not decide by itself."""
    flag = getattr(args, "fast_disk", None)
    return flag is False and not getattr(args, "high_ram", False) and _host_storage() is None


def _host_storage() -> ModuleType | None:
    try:
        return importlib.import_module("comfy.storage")
    except ImportError:
        return None
