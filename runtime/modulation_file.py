"""A safetensors file mapped into memory, tensor by tensor, without reading more of it than is looked at.

The safetensors library maps too, but touches each tensor, and the system then reads ahead: up to 16 MiB a tensor on
disks set to read far ahead, which for the modulation layers is a large part of what must not be read at all.
Format: 8 bytes little-endian header length, that many bytes of JSON, then the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
import sys
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from ..planner.safetensors_header import LENGTH_BYTES, header_length
from .file_stamp import file_stamp
from .page_cache import forget

MODULATION_KEY = re.compile(r"^(.*?)(transformer_blocks\.\d+\.(?:img_mod|txt_mod)\.1\.)\w+$")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
if hasattr(torch, "float8_e8m0fnu"):
    DTYPES["F8_E8M0"] = torch.float8_e8m0fnu


def tensor_in(mapped: mmap.mmap, offset: int, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """The tensor whose elements are mapped at `offset`; one without elements is in no memory."""
    count = math.prod(shape)
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=offset).view(shape)


def is_modulation(name: str) -> bool:
    """Whether a tensor of a model file belongs to a modulation layer."""
    return MODULATION_KEY.match(name) is not None


class MappedFile:
    """`header` is the JSON text, `names` the tensors in it, `metadata` its strings, `size` the file's bytes.

    Raises OSError when the file cannot be read, ValueError when it is not a whole safetensors file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path, "rb") as file:
            length = header_length(file.read(LENGTH_BYTES), os.path.getsize(path))
            self.header = file.read(length)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._stamp = file_stamp(self._descriptor)
        self.size = len(self._map)
        entries: dict[str, Any] = json.loads(self.header)
        self.metadata: dict[str, str] = entries.pop("__metadata__", None) or {}
        self._entries = entries
        self._start = LENGTH_BYTES + length
        if any(self._start + entry["data_offsets"][1] > self.size for entry in entries.values()):
            raise ValueError("it is shorter than its header says")

    def is_unchanged(self) -> bool:
        """Whether nobody has written to the file since; a look at what was cut off would end the process.

        A new file put in the place of this one by renaming does not count: this one's bytes are still there.
        """
        return file_stamp(self._descriptor) == self._stamp

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def span(self, name: str) -> tuple[int, int]:
        """The file's bytes [first, last) that hold the tensor."""
        first, last = self._entries[name]["data_offsets"]
        return self._start + first, self._start + last

    def tensor(self, name: str) -> torch.Tensor:
        """The mapped tensor; to be read only, a write to it ends the process."""
        entry = self._entries[name]
        dtype = DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(f"{name} has the unknown dtype {entry['dtype']}")
        start, _ = self.span(name)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given buffer is not writable")
            return tensor_in(self._map, start, entry["shape"], dtype)

    def read_ahead(self, wanted: bool) -> None:
        """Whether the system may read on behind what is looked at; it does until told otherwise."""
        if hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_NORMAL if wanted else mmap.MADV_RANDOM)

    def forget(self, prefix: str) -> None:
        """Give up what memory holds of the tensors whose names begin with `prefix`; a later look reads the disk."""
        if sys.platform == "linux":  # elsewhere the advice means something else
            self._map.madvise(mmap.MADV_DONTNEED)
            forget(self._path, [self.span(name) for name in self._entries if name.startswith(prefix)])

    def fetch(self, prefix: str) -> None:
        """Start reading the tensors whose names begin with `prefix`: they are wanted whole, now."""
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        for name in self._entries:
            first, last = self.span(name)
            if name.startswith(prefix) and last > first:
                page = first - first % mmap.PAGESIZE
                self._map.madvise(mmap.MADV_WILLNEED, page, last - page)
