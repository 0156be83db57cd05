"""The catalog is data: each row is checked the same way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qwen_image_loader.planner.catalog import CATALOG, catalog_rows, find_by_sha256, find_catalog_file
from qwen_image_loader.planner.catalog_file import CatalogFile
from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA
from qwen_image_loader.planner.releases import RELEASES
from qwen_image_loader.planner.request import RECIPES
from qwen_image_loader.planner.weight_format import EXACTNESS

GOLDEN = Path(__file__).parents[1] / "golden_headers"


def test_names_and_hashes_are_unique() -> None:
    assert len({row.name for row in CATALOG}) == len(CATALOG)
    hashes = [row.sha256 for row in CATALOG if row.sha256]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_a_row_is_complete(row: CatalogFile) -> None:
    assert row.path.endswith(row.name)
    assert re.fullmatch(r"https://huggingface\.co/[\w.-]+/[\w.-]+/resolve/\w+/[\w./%-]+\.safetensors", row.url)
    assert 200_000_000 < row.size_bytes < 45_000_000_000
    assert row.weight_format in EXACTNESS
    assert re.fullmatch(r"[0-9a-f]{64}|", row.sha256)
    assert row.release in RELEASES or row.release == ""
    assert row.recipe in RECIPES
    assert row.source
    assert row.licence
    assert (GOLDEN / f"{row.name}.json.gz").is_file()


@pytest.mark.parametrize("row", catalog_rows(ROLE_LORA), ids=lambda row: row.name)
def test_a_lora_has_a_base_and_settings(row: CatalogFile) -> None:
    bases = [b for b in catalog_rows(ROLE_DIFFUSION_MODEL) if b.release == row.release and b.recipe == "base"]
    assert any(base.weight_format == row.trained_on or row.trained_on == "bf16" for base in bases)
    assert row.recipe in RELEASES[row.release].settings


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_each_recipe_of_a_release_can_be_fetched(release: object) -> None:
    for recipe in release.settings:  # type: ignore[attr-defined]
        assert any(row.release == release.name and row.recipe == recipe for row in CATALOG)  # type: ignore[attr-defined]


def test_look_ups() -> None:
    row = CATALOG[0]
    assert find_catalog_file(row.name) is row
    assert find_by_sha256(row.sha256) is row
    assert find_catalog_file("no_such.safetensors") is None
    assert find_by_sha256("00") is None
