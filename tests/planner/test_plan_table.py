# ruff: noqa: E501, C408 - a table that is read by its columns
"""The product's specification: which files, recipe and use of memory each machine gets. Review it line by line.

A row: machine (see machines.py), GiB of RAM if not the usual, file set on disk, what the user asked for ->
recipe, diffusion model, LoRA, text encoder, residency while sampling, modulation table, files to fetch, warnings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from machines import (
    B2512_BF16,
    B2512_FP8,
    BASE_BF16,
    BASE_FP8,
    DISTILL_BF16,
    DISTILL_FP8,
    EDIT_2511,
    FUSED_2512,
    L4_2511,
    L4_2512,
    L4_FP8,
    L4_V2,
    L8,
    LAYERED,
    SCALED,
    TEXT,
    TEXT_BF16,
    files_of,
    machine,
)  # fmt: skip
from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER
from qwen_image_loader.planner.plan import plan
from qwen_image_loader.planner.request import LoadRequest

# fmt: off
ROWS: list[tuple[Any, ...]] = [
    # The six files of the official template, and none, on each machine.
    ("4060Ti-8", 0, "none", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 4, set()),
    ("4060Ti-8", 0, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("3060-12", 0, "none", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 4, set()),
    ("3060-12", 0, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-16", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 3, set()),
    ("4060Ti-16", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 3, set()),
    ("4090-24", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("5090-32", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 3, set()),
    ("5090-32", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("A6000-48", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 3, set()),
    ("A6000-48", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 3, set()),
    ("H100-80", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("1080-8", 0, "none", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 4, {"no_bf16"}),
    ("1080-8", 0, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"no_bf16", "faster_recipe_available"}),
    ("7900XT-20", 0, "none", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 3, set()),
    ("7900XT-20", 0, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("M2-64", 0, "none", dict(), "base", BASE_BF16, None, TEXT_BF16, "resident", False, 3, set()),
    ("M2-64", 0, "six", dict(), "distilled", DISTILL_BF16, None, TEXT_BF16, "resident", False, 1, set()),
    ("M2-96", 0, "none", dict(), "base", BASE_BF16, None, TEXT_BF16, "resident", False, 3, set()),
    ("M2-96", 0, "six", dict(), "distilled", DISTILL_BF16, None, TEXT_BF16, "resident", False, 1, set()),
    ("cpu-32", 0, "none", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "resident", False, 4, set()),
    ("cpu-32", 0, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "resident", False, 0, {"faster_recipe_available"}),
    ("cpu-64", 0, "none", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "resident", False, 4, set()),
    ("cpu-64", 0, "six", dict(), "distilled", DISTILL_BF16, None, TEXT, "resident", False, 0, {"faster_recipe_available"}),
    # Other file sets on small, middle and large cards.
    ("4060Ti-8", 0, "bf16", dict(), "base", BASE_BF16, None, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-8", 0, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-8", 0, "base fp8", dict(), "base", BASE_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 0, "fp8+fp8 L4", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "scaled+L4", dict(), "Lightning 4 steps", SCALED, L4_V2, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "distill only", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 0, "wrong LoRA", dict(), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 4, set()),
    ("4060Ti-8", 0, "weights only", dict(), "base", BASE_FP8, None, TEXT, "streamed", True, 2, {"faster_recipe_available"}),
    ("4060Ti-8", 0, "two encoders", dict(), "base", BASE_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-16", 0, "bf16", dict(), "base", BASE_BF16, None, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-16", 0, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-16", 0, "base fp8", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-16", 0, "fp8+fp8 L4", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-16", 0, "scaled+L4", dict(), "base", SCALED, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-16", 0, "distill only", dict(), "distilled", DISTILL_FP8, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-16", 0, "wrong LoRA", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 3, set()),
    ("4060Ti-16", 0, "weights only", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 2, set()),
    ("4060Ti-16", 0, "two encoders", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "bf16", dict(), "base", BASE_BF16, None, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4090-24", 0, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4090-24", 0, "base fp8", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "fp8+fp8 L4", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "scaled+L4", dict(), "base", SCALED, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "distill only", dict(), "distilled", DISTILL_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "wrong LoRA", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 3, set()),
    ("4090-24", 0, "weights only", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 2, set()),
    ("4090-24", 0, "two encoders", dict(), "base", BASE_FP8, None, TEXT_BF16, "resident", True, 0, set()),
    ("5090-32", 0, "bf16", dict(), "base", BASE_BF16, None, TEXT, "resident", True, 0, set()),
    ("5090-32", 0, "bf16+L8", dict(), "base", BASE_BF16, None, TEXT, "resident", True, 0, set()),
    ("5090-32", 0, "base fp8", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("5090-32", 0, "fp8+fp8 L4", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("5090-32", 0, "scaled+L4", dict(), "base", SCALED, None, TEXT, "resident", False, 0, set()),
    ("5090-32", 0, "distill only", dict(), "distilled", DISTILL_FP8, None, TEXT, "resident", False, 0, set()),
    ("5090-32", 0, "wrong LoRA", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 3, set()),
    ("5090-32", 0, "weights only", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 2, set()),
    ("5090-32", 0, "two encoders", dict(), "base", BASE_FP8, None, TEXT_BF16, "resident", True, 0, set()),
    ("H100-80", 0, "bf16", dict(), "base", BASE_BF16, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "bf16+L8", dict(), "base", BASE_BF16, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "base fp8", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "fp8+fp8 L4", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "scaled+L4", dict(), "base", SCALED, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "distill only", dict(), "distilled", DISTILL_FP8, None, TEXT, "resident", False, 0, set()),
    ("H100-80", 0, "wrong LoRA", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 3, set()),
    ("H100-80", 0, "weights only", dict(), "base", BASE_FP8, None, TEXT, "resident", False, 2, set()),
    ("H100-80", 0, "two encoders", dict(), "base", BASE_FP8, None, TEXT_BF16, "resident", False, 0, set()),
    ("M2-96", 0, "apple", dict(), "base", BASE_BF16, None, TEXT_BF16, "resident", False, 0, set()),
    ("M2-64", 0, "apple", dict(), "base", BASE_BF16, None, TEXT_BF16, "resident", False, 0, set()),
    ("cpu-64", 0, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "resident", False, 0, {"faster_recipe_available"}),
    # RAM.
    ("4060Ti-8", 16, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-8", 16, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("4060Ti-8", 64, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 64, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 128, "six", dict(), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 128, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("7900XT-20", 16, "six", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("7900XT-20", 16, "bf16", dict(), "base", BASE_FP8, None, TEXT, "resident", True, 1, set()),
    ("7900XT-20", 64, "bf16+L8", dict(), "Lightning 8 steps", BASE_BF16, L8, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    # Other releases.
    ("4060Ti-8", 0, "none", dict(release="Qwen-Image-2512"), "Lightning 4 steps", FUSED_2512, None, TEXT, "streamed", True, 3, set()),
    ("4060Ti-8", 0, "2512", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 0, "2512 bf16", dict(release="Qwen-Image-2512"), "Lightning 4 steps", B2512_BF16, L4_2512, TEXT, "streamed", True, 0, {"rereads_from_disk"}),
    ("4060Ti-8", 0, "2512 fused", dict(release="Qwen-Image-2512"), "Lightning 4 steps", FUSED_2512, None, TEXT, "streamed", True, 0, set()),
    ("4090-24", 0, "none", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", True, 3, set()),
    ("4090-24", 0, "2512", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "2512 bf16", dict(release="Qwen-Image-2512"), "Lightning 4 steps", B2512_BF16, L4_2512, TEXT, "streamed", True, 0, {"rereads_from_disk"}),
    ("4090-24", 0, "2512 fused", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", True, 0, set()),
    ("5090-32", 0, "none", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 3, set()),
    ("5090-32", 0, "2512", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 0, set()),
    ("5090-32", 0, "2512 bf16", dict(release="Qwen-Image-2512"), "base", B2512_BF16, None, TEXT, "resident", True, 0, set()),
    ("5090-32", 0, "2512 fused", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 0, set()),
    ("A6000-48", 0, "none", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 3, set()),
    ("A6000-48", 0, "2512", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 0, set()),
    ("A6000-48", 0, "2512 bf16", dict(release="Qwen-Image-2512"), "base", B2512_BF16, None, TEXT, "resident", False, 0, set()),
    ("A6000-48", 0, "2512 fused", dict(release="Qwen-Image-2512"), "base", B2512_FP8, None, TEXT, "resident", False, 0, set()),
    ("4060Ti-8", 0, "2511", dict(release="Qwen-Image-Edit-2511"), "Lightning 4 steps", EDIT_2511, L4_2511, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "none", dict(release="Qwen-Image-Edit-2511"), "Lightning 4 steps", "qwen_image_edit_2511_int8_convrot.safetensors", L4_2511, TEXT, "streamed", True, 4, set()),
    ("4060Ti-8", 0, "none", dict(release="Qwen-Image-Layered"), "base", LAYERED, None, TEXT, "streamed", True, 3, set()),
    ("4090-24", 0, "2511", dict(release="Qwen-Image-Edit-2511"), "base", EDIT_2511, None, TEXT, "resident", True, 0, set()),
    ("4090-24", 0, "none", dict(release="Qwen-Image-Edit-2511"), "base", "qwen_image_edit_2511_int8_convrot.safetensors", None, TEXT, "resident", True, 3, set()),
    ("4090-24", 0, "none", dict(release="Qwen-Image-Layered"), "base", LAYERED, None, TEXT, "resident", True, 3, set()),
    # What the user asked for.
    ("4060Ti-8", 0, "six", dict(recipe="base"), "base", BASE_FP8, None, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "none", dict(recipe="base"), "base", BASE_FP8, None, TEXT, "streamed", True, 3, set()),
    ("4060Ti-8", 0, "six", dict(recipe="distilled"), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "none", dict(recipe="distilled"), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 3, set()),
    ("4060Ti-8", 0, "six", dict(recipe="Lightning 8 steps"), "Lightning 8 steps", BASE_FP8, L8, TEXT, "streamed", True, 0, {"lightning_on_plain_fp8"}),
    ("4060Ti-8", 0, "none", dict(recipe="Lightning 8 steps"), "Lightning 8 steps", SCALED, "Qwen-Image-Lightning-8steps-V2.0-bf16.safetensors", TEXT, "streamed", True, 4, set()),
    ("4060Ti-8", 0, "six", dict(recipe="Lightning 4 steps"), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 1, set()),
    ("4060Ti-8", 0, "none", dict(recipe="Lightning 4 steps"), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 4, set()),
    ("4060Ti-8", 0, "six+fp8 L4", dict(recipe="Lightning 4 steps"), "Lightning 4 steps", BASE_FP8, L4_FP8, TEXT, "streamed", True, 0, set()),
    ("4060Ti-8", 0, "2512", dict(release="Qwen-Image-2512", recipe="Lightning 4 steps"), "Lightning 4 steps", B2512_FP8, L4_2512, TEXT, "streamed", True, 0, {"lightning_on_plain_fp8"}),
    ("4060Ti-8", 0, "six", dict(precision="bf16"), "distilled", DISTILL_BF16, None, TEXT, "streamed", True, 0, {"rereads_from_disk", "faster_recipe_available"}),
    ("5090-32", 0, "six", dict(precision="bf16"), "distilled", DISTILL_BF16, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-8", 0, "six", dict(precision="fp8_e4m3fn"), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("5090-32", 0, "six", dict(precision="fp8_e4m3fn"), "base", BASE_FP8, None, TEXT, "resident", False, 0, set()),
    ("4060Ti-8", 0, "six", dict(precision="fp8_scaled"), "Lightning 4 steps", SCALED, L4_V2, TEXT, "streamed", True, 2, set()),
    ("5090-32", 0, "six", dict(precision="fp8_scaled"), "base", SCALED, None, TEXT, "resident", False, 1, set()),
    ("4060Ti-8", 0, "six", dict(precision="nvfp4"), "Lightning 4 steps", "qwen_image_nvfp4.safetensors", L4_V2, TEXT, "streamed", True, 2, set()),
    ("5090-32", 0, "six", dict(precision="nvfp4"), "base", "qwen_image_nvfp4.safetensors", None, TEXT, "resident", False, 1, set()),
    ("4090-24", 0, "six", dict(vram_limit_bytes=8589934592), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
    ("4090-24", 0, "six", dict(modulation="on"), "base", BASE_FP8, None, TEXT, "resident", True, 0, set()),
    ("4060Ti-8", 0, "six", dict(modulation="off"), "distilled", DISTILL_FP8, None, TEXT, "streamed", False, 0, {"faster_recipe_available"}),
    ("4060Ti-16", 0, "six", dict(modulation="off"), "distilled", DISTILL_FP8, None, TEXT, "streamed", False, 0, {"faster_recipe_available"}),
    ("4060Ti-8", 0, "six", dict(lora_file=L8), "Lightning 8 steps", BASE_FP8, L8, TEXT, "streamed", True, 0, {"lightning_on_plain_fp8"}),
    ("4060Ti-8", 0, "six", dict(diffusion_model_file=DISTILL_FP8, lora_file=L8), "Lightning 8 steps", DISTILL_FP8, L8, TEXT, "streamed", True, 0, {"lora_on_distilled"}),
    ("4060Ti-8", 0, "six", dict(diffusion_model_file=DISTILL_BF16), "distilled", DISTILL_BF16, None, TEXT, "streamed", True, 0, {"rereads_from_disk"}),
    ("4060Ti-8", 0, "six", dict(diffusion_model_file=DISTILL_FP8, recipe="base"), "base", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"recipe_not_of_file"}),
    ("4060Ti-8", 0, "2512", dict(diffusion_model_file=B2512_FP8), "base", B2512_FP8, None, TEXT, "streamed", True, 0, {"model_of_other_release"}),
    ("4060Ti-8", 0, "six", dict(text_encoder_device="cpu"), "distilled", DISTILL_FP8, None, TEXT, "streamed", True, 0, {"faster_recipe_available"}),
]
# fmt: on


def row_id(row: tuple[Any, ...]) -> str:
    name, ram, files, asked = row[:4]
    wishes = ",".join(f"{key}={value}" for key, value in asked.items())
    return f"{name}{f'/{ram}GiB' if ram else ''}|{files}{'|' + wishes if wishes else ''}"


@pytest.mark.parametrize("row", ROWS, ids=map(row_id, ROWS))
def test_the_choice_for_this_machine_and_these_files(row: tuple[Any, ...]) -> None:
    name, ram, files, asked, recipe, model, lora, encoder, residency, table, missing, warnings = row
    request = LoadRequest(**{"release": "Qwen-Image", **asked})
    result = plan(request, machine(name, ram), files_of(files))
    assert result.error == ""
    found = {role: result.find_file(role) for role in (ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER)}
    chosen = {role: file.name if file else None for role, file in found.items()}
    assert result.recipe == recipe
    assert chosen == {ROLE_DIFFUSION_MODEL: model, ROLE_LORA: lora, ROLE_TEXT_ENCODER: encoder}
    assert ("streamed" if result.stages[1].streamed_bytes else "resident") == residency
    assert result.modulation_table is table
    assert len(result.missing) == missing
    assert {warning.code for warning in result.warnings} == warnings


def test_the_specification_is_large_enough_and_says_each_thing_once() -> None:
    assert len(ROWS) >= 60
    assert len({row_id(row) for row in ROWS}) == len(ROWS)
