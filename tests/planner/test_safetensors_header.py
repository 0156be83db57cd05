"""Broken files are told apart by what is wrong with them, before anything is loaded."""

from __future__ import annotations

import json

import pytest
from qwen_image_loader.planner.safetensors_header import (
    BadFileError,
    ForeignFileError,
    header_length,
    parse_header,
)

HEADER = json.dumps(
    {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [12, 16]},
    }
).encode()
SIZE = 8 + len(HEADER) + 16
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 20430635136\n"


def first_bytes(length: int) -> bytes:
    return length.to_bytes(8, "little")


def test_a_good_header_gives_names_shapes_and_sizes() -> None:
    assert header_length(first_bytes(len(HEADER)), SIZE) == len(HEADER)
    header = parse_header(HEADER, SIZE)
    assert header.tensors["a"].shape == (2, 3)
    assert header.weight_bytes == 16
    assert header.metadata == {"format": "pt"}


@pytest.mark.parametrize("length", [0x3C, 0x7B, 0x3C7B, 0x20, 0x0A])
def test_a_length_that_looks_like_text_is_still_a_length(length: int) -> None:
    assert header_length(first_bytes(length), 10_000_000) == length


START = [
    ("empty", b"", 0, BadFileError, "empty"),
    ("html", b"<!DOCTYPE html>", 5000, BadFileError, "web page"),
    ("json error page", b'{"error":"Gated"}', 5000, BadFileError, "web page"),
    ("a few letters", b"hi", 2, BadFileError, "web page"),
    ("git lfs pointer", LFS_POINTER, len(LFS_POINTER), BadFileError, "Git LFS pointer, .* 'git lfs pull'"),
    ("its first 8 bytes", LFS_POINTER[:8], len(LFS_POINTER), BadFileError, "Git LFS pointer"),
    ("another version", b"version 1.0 of a text", 130, BadFileError, "web page or text"),
    ("a long text", LFS_POINTER[:8], 5000, BadFileError, "web page or text"),
    ("a word", b"version", 7, BadFileError, "web page or text"),
    ("gguf", b"GGUF\x03\x00\x00\x00", 5000, ForeignFileError, "ComfyUI-GGUF"),
    ("zip", b"PK\x03\x04\x14\x00\x08\x08", 5000, ForeignFileError, "pickle"),
    ("zeros", bytes(8), 5000, BadFileError, "safetensors header"),
    ("header longer than the file", first_bytes(90_000), 5000, BadFileError, "90,000 bytes but the whole"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "data", "size", "error", "says"), START, ids=[s[0] for s in START])
def test_a_file_that_does_not_start_right(case: str, data: bytes, size: int, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        header_length(data, size)


BAD_JSON = [
    ("cut off", HEADER[:-5], SIZE, "damaged"),
    ("not a table", b"[1, 2]", 100, "not a table"),
    ("tensor without offsets", b'{"a": {"dtype": "BF16", "shape": [1]}}', 100, "'a'"),
    ("wrong length", b'{"a": {"dtype": "BF16", "shape": [9], "data_offsets": [0, 4]}}', 100, "wrong length"),
    ("negative", b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [4, 2]}}', 100, "wrong length"),
    ("words for a shape", b'{"a": {"dtype": "BF16", "shape": ["x"], "data_offsets": [0, 2]}}', 100, "'a'"),
    ("halves of bytes", b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0.5, 2.5]}}', 100, "'a'"),
    ("too deep", b"[" * 200_000, 200_008, "damaged"),
    ("truncated", HEADER, SIZE - 3, "truncated"),
    ("too long", HEADER, SIZE + 7, "7 bytes more"),
]


@pytest.mark.parametrize(("case", "data", "size", "says"), BAD_JSON, ids=[b[0] for b in BAD_JSON])
def test_a_header_that_does_not_fit_its_file(case: str, data: bytes, size: int, says: str) -> None:
    with pytest.raises(BadFileError, match=says):
        parse_header(data, size)


def test_a_truncated_file_says_both_sizes() -> None:
    with pytest.raises(BadFileError, match=rf"describes {SIZE} bytes, the file has {SIZE - 3}"):
        parse_header(HEADER, SIZE - 3)
