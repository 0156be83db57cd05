"""A safetensors file that is nowhere but in memory, for ComfyUI to load like any other (Linux).

ComfyUI with dynamic VRAM has a file's tensors copied by reading threads of its own; all others it copies with PyTorch,
which spreads each over all cores and waits for the last (bench/NOTES.md, *One more busy thread*).
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from collections.abc import Callable, Mapping
from math import prod

import comfy.utils
import torch

from ..planner.safetensors_header import LENGTH_BYTES
from .modulation_file import DTYPES, tensor_in

ALIGNMENT = 64
NAMES_OF_DTYPES = {dtype: name for name, dtype in DTYPES.items()}

Layout = Mapping[str, tuple[torch.Size, torch.dtype]]
Tensors = dict[str, torch.Tensor]


def load_from_memory(layout: Layout, fill: Callable[[Tensors], None]) -> Tensors:
    """What ComfyUI loads of a file with tensors as in `layout`, name -> shape and dtype, that `fill` has written.

    The memory is the tensors' own; nothing is left when the last is gone. Raises OSError where the system makes no such
    file, ValueError for a dtype that the format has no name for, and what `fill` and ComfyUI raise.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no files in memory")
    header, offsets = _header(layout)
    descriptor = os.memfd_create("lora")
    try:
        # All of it now, where running out of memory is an error and not the end of the process.
        os.posix_fallocate(descriptor, 0, len(header) + sum(_size(*entry) for entry in layout.values()))
        mapped = mmap.mmap(descriptor, 0)
        mapped[: len(header)] = header
        fill({name: tensor_in(mapped, len(header) + offsets[name], *layout[name]) for name in layout})
        return _load(descriptor)
    finally:
        os.close(descriptor)


def _header(layout: Layout) -> tuple[bytes, dict[str, int]]:
    """The file's beginning, and where behind it each tensor is, in bytes."""
    entries: dict[str, object] = {}
    offsets: dict[str, int] = {}
    end = 0
    # The largest elements first, so that every tensor begins at a multiple of its own element size.
    for name, (shape, dtype) in sorted(layout.items(), key=lambda item: -item[1][1].itemsize):
        if dtype not in NAMES_OF_DTYPES:
            raise ValueError(f"safetensors has no name for {dtype}")
        start, end = end, end + _size(shape, dtype)
        offsets[name] = start
        entries[name] = {"dtype": NAMES_OF_DTYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    text += b" " * (-(LENGTH_BYTES + len(text)) % ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, offsets


def _size(shape: torch.Size, dtype: torch.dtype) -> int:
    return prod(shape) * dtype.itemsize


def _load(descriptor: int) -> Tensors:
    """By a name that ends as ComfyUI expects it; the name is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "lora.safetensors")
        os.symlink(f"/proc/{os.getpid()}/fd/{descriptor}", link)
        os.stat(link)  # raises OSError where /proc is not mounted
        weights: Tensors = comfy.utils.load_torch_file(link, safe_load=True)
        return weights
