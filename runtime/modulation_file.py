"""A safetensors file mapped into memory, tensor by tensor, without reading more of it than is looked at.

The safetensors library maps too, but touches each tensor, and the system then reads ahead: up to 16 MiB a tensor on
disks set to read far ahead, which for the modulation layers is a large part of what must not be read at all.
Format: 8 bytes little-endian header length, that many bytes of JSON, then the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import mmap
import warnings
from typing import Any

import torch

MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
_DTYPES = {
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
    _DTYPES["F8_E8M0"] = torch.float8_e8m0fnu


class MappedFile:
    """`header` is the JSON text, `names` the tensors in it, `metadata` its strings, `size` the file's bytes.

    Raises OSError when the file cannot be read, ValueError when it is not a whole safetensors file.
    """

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError("it has no safetensors header")
            self.header = file.read(length)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.size = len(self._map)
        entries: dict[str, Any] = json.loads(self.header)
        self.metadata: dict[str, str] = entries.pop("__metadata__", None) or {}
        self._entries = entries
        self._start = 8 + length
        if any(self._start + entry["data_offsets"][1] > self.size for entry in entries.values()):
            raise ValueError("it is shorter than its header says")

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def tensor(self, name: str) -> torch.Tensor:
        """The mapped tensor; to be read only, a write to it ends the process."""
        entry = self._entries[name]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(f"{name} has the unknown dtype {entry['dtype']}")
        count = math.prod(entry["shape"])
        if count == 0:
            return torch.empty(entry["shape"], dtype=dtype)
        start = self._start + entry["data_offsets"][0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given buffer is not writable")
            return torch.frombuffer(self._map, dtype=dtype, count=count, offset=start).view(entry["shape"])

    def read_ahead(self, wanted: bool) -> None:
        """Whether the system may read on behind what is looked at; it does until told otherwise."""
        if hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_NORMAL if wanted else mmap.MADV_RANDOM)

    def fetch(self, prefix: str) -> None:
        """Start reading the tensors whose names begin with `prefix`: they are wanted whole, now."""
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        for name, entry in self._entries.items():
            first, last = (self._start + offset for offset in entry["data_offsets"])
            if name.startswith(prefix) and last > first:
                page = first - first % mmap.PAGESIZE
                self._map.madvise(mmap.MADV_WILLNEED, page, last - page)
