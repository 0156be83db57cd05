"""Files that need not be fetched: the same bytes under another name or subfolder, or in the Hugging Face cache."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..planner.catalog import find_catalog_file
from ..planner.catalog_file import CatalogFile
from ..planner.safetensors_header import BadFileError
from .download_control import Control
from .download_sink import BLOCK_BYTES
from .download_staging import check_whole

MODEL_SUFFIXES = (".safetensors", ".sft")
SHA256_NAME = re.compile(r"[0-9a-f]{64}")


def find_same_bytes(
    row: CatalogFile, size_bytes: int, sha256: str, cached: Path | None, roots: list[str], control: Control
) -> Path | None:
    """`cached`, or a file in `roots`, subfolders included, that has exactly these bytes; else None.

    Only files of the same size are read. All fp8 diffusion models have the same size: one that carries another catalog
    file's name is taken at its word and not read. Without a sha256 to compare with, only `cached` is considered.
    """
    candidates = [cached] if cached else []
    if sha256:
        candidates += [path for path in _model_files(roots) if _may_be(path, row, size_bytes)]
    for path in candidates:
        control.note("checking a file on this disk that may be the same")
        if is_same(path, size_bytes, sha256, control):
            return path
    return None


def find_in_hub_cache(row: CatalogFile) -> Path | None:
    """The file in the Hugging Face cache, where other programs keep what they fetched; else None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(row.repo, row.path, revision=row.revision)
    path = Path(os.path.realpath(found)) if isinstance(found, str) else None
    return path if path and path.is_file() else None


def cached_sha256(path: Path) -> str:
    """The sha256 that a file of the cache is named by, "" where the cache has no links and keeps plain names."""
    return path.name if SHA256_NAME.fullmatch(path.name) else ""


def is_same(path: Path, size_bytes: int, sha256: str, control: Control) -> bool:
    """True if the file is whole and has this size and this sha256 ("" where none is known). Reads all of it."""
    try:
        if path.stat().st_size != size_bytes:
            return False
        check_whole(path)
        return not sha256 or _sha256(path, control) == sha256
    except (BadFileError, OSError):
        return False


def _sha256(path: Path, control: Control) -> str:
    digest = hashlib.sha256()
    read = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            control.check()
            digest.update(block)
            read += len(block)
            control.progress.set_done(read)
    return digest.hexdigest()


def _may_be(path: Path, row: CatalogFile, size_bytes: int) -> bool:
    known = find_catalog_file(path.name)
    try:
        return path.stat().st_size == size_bytes and (known is None or known.name == row.name)
    except OSError:
        return False


def _model_files(roots: list[str]) -> Iterator[Path]:
    for root in roots:
        for folder, _, names in os.walk(root):
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(MODEL_SUFFIXES))
