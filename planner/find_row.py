"""Which catalog row a file on disk is: by its hash, by a size that one row alone has, or by its name."""

from __future__ import annotations

from .catalog import CATALOG, find_by_sha256, find_catalog_file
from .catalog_file import CatalogFile


def find_row(role: str, name: str, size_bytes: int, sha256: str) -> tuple[CatalogFile | None, str]:
    """The catalog row of a file. The evidence is "" where only the name speaks, because markers outrank a name."""
    row = find_by_sha256(sha256) if sha256 else None
    if row is not None and row.role == role:
        return row, "its sha256"
    same_size = [r for r in CATALOG if r.size_bytes == size_bytes]
    if len(same_size) == 1 and same_size[0].size_is_exact and same_size[0].role == role:
        return same_size[0], "its size in bytes"
    row = find_catalog_file(name)
    return (row, "") if row is not None and row.role == role else (None, "")


def find_named_row(role: str, name: str) -> CatalogFile | None:
    """The row of this role with that name (parts that one shape serves for every release)."""
    row = find_catalog_file(name)
    return row if row is not None and row.role == role else None
