"""Names, shapes, dtypes and metadata of a .safetensors file, from its header bytes alone; finds broken files too.

Format: 8 bytes little-endian header length, that many bytes of JSON, then the tensors' bytes without gaps
(https://huggingface.co/docs/safetensors, "Format").
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import NamedTuple

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
GGUF_MAGIC = b"GGUF"
LFS_START = b"version https://git-lfs.github.com/spec/"
LFS_POINTER_BYTES = 1024  # a pointer is shorter (the "Specification" of Git LFS)
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class BadFileError(ValueError):
    """The file cannot be a usable .safetensors file; the message says why in words for the user, without its name."""


class ForeignFileError(BadFileError):
    """The file is intact but another program's format; the message names the pack that loads it."""


class TensorInfo(NamedTuple):
    """One tensor as the header describes it. `nbytes` is its size in the file."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A parsed header. `header_bytes` counts the length field too: the first tensor byte's offset in the file."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(t.nbytes for t in self.tensors.values())


def header_length(first_bytes: bytes, file_size: int) -> int:
    """Length in bytes of the JSON header, from the file's first 8 bytes (more do no harm).

    Raises BadFileError (empty, Git LFS pointer, text, not safetensors, longer than the file) and ForeignFileError
    (GGUF, pickle).
    """
    if file_size == 0:
        raise BadFileError("the file is empty (0 bytes)")
    if first_bytes.startswith(GGUF_MAGIC):
        raise ForeignFileError("it is a GGUF file; load it with the ComfyUI-GGUF pack")
    length = int.from_bytes(first_bytes[:LENGTH_BYTES], "little")
    if file_size < LENGTH_BYTES or not 0 < length <= MAX_HEADER_BYTES:
        if first_bytes[:4] == b"PK\x03\x04" or first_bytes[:2] == b"\x80\x02":
            raise ForeignFileError("it is a PyTorch pickle (.pt/.ckpt) under another name")
        begins_so = first_bytes.startswith(LFS_START[:LENGTH_BYTES])  # usually these are all that were read
        if begins_so and LFS_START.startswith(first_bytes[: len(LFS_START)]) and file_size < LFS_POINTER_BYTES:
            raise BadFileError(
                "it is a Git LFS pointer, without the model itself: fetch that with 'git lfs pull', or delete it and "
                "let this node fetch the file"
            )
        if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in first_bytes[:LENGTH_BYTES]):
            raise BadFileError("it is a web page or text under a model's name: the link was wrong or needed a login")
        raise BadFileError("it does not start with a safetensors header")
    if length + LENGTH_BYTES > file_size:
        raise BadFileError(f"its header alone should have {length:,} bytes but the whole file has {file_size:,}")
    return length


def parse_header(header_json: bytes, file_size: int) -> SafetensorsHeader:
    """Parse the JSON part of a header and check it against the file's size in bytes.

    Raises BadFileError when the JSON is damaged, an entry is malformed, or the file is not as long as its tensors.
    """
    try:
        raw = json.loads(header_json)
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"its header is damaged ({error})") from error
    if not isinstance(raw, dict):
        raise BadFileError("its header is damaged (not a table of tensors)")
    metadata = raw.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise BadFileError("its header is damaged (__metadata__ is not a table)")
    tensors: dict[str, TensorInfo] = {}
    end = 0
    for name, entry in raw.items():
        try:
            dtype, shape, (begin, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            if not all(type(number) is int for number in (begin, stop, *shape)):
                raise TypeError
            nbytes, bits = stop - begin, math.prod(shape) * DTYPE_BITS.get(dtype, 0)
        except (TypeError, KeyError, ValueError) as error:
            raise BadFileError(f"its header is damaged (tensor {name!r})") from error
        if begin < 0 or nbytes < 0 or (dtype in DTYPE_BITS and (bits + 7) // 8 != nbytes):
            raise BadFileError(f"its header is damaged (tensor {name!r} has the wrong length)")
        tensors[name] = TensorInfo(dtype, shape, nbytes)
        if stop > end:
            end = stop
    expected = LENGTH_BYTES + len(header_json) + end
    if file_size < expected:
        raise BadFileError(f"it is truncated: its header describes {expected:,} bytes, the file has {file_size:,}")
    if file_size > expected:
        raise BadFileError(f"it has {file_size - expected:,} bytes more than its header describes ({expected:,})")
    return SafetensorsHeader(tensors, {k: str(v) for k, v in metadata.items()}, LENGTH_BYTES + len(header_json))
