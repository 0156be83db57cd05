"""The button of a warning cures it: followed to their end they lead to no error, in no circle, to no bad pair."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from machines import BASE_FP8, DISTILL_FP8, FILE_SETS, L4_FP8, L4_V2, L8, LAYERED, TEXT, VAE, machine, on_disk
from qwen_image_loader.planner.found_file import FoundFile
from qwen_image_loader.planner.load_plan import LoadPlan
from qwen_image_loader.planner.plan import plan
from qwen_image_loader.planner.releases import RELEASES
from qwen_image_loader.planner.request import AUTO, RECIPES, LoadRequest

BAD_PAIRS = {"lightning_on_plain_fp8", "lora_on_distilled", "lora_on_fused", "lora_of_other_release"}
MOST_CLICKS = 4
SETS = {
    **FILE_SETS,
    "fp8+L4V2": (BASE_FP8, TEXT, VAE, L4_V2),
    "fp8+both L4": (BASE_FP8, TEXT, VAE, L4_V2, L4_FP8),
    "fp8+L4V2+distilled": (BASE_FP8, DISTILL_FP8, TEXT, VAE, L4_V2, L8),
    "layered+L8": (LAYERED, BASE_FP8, TEXT, VAE, L8),
    "2509": (
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
        TEXT,
        VAE,
        "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
    ),
}


def wishes(files: tuple[FoundFile, ...]) -> Iterator[LoadRequest]:
    """Every release and recipe, with every LoRA and diffusion model of the set named or not."""

    def names(folder: str, most: int) -> list[str]:
        return [AUTO, *[file.listed_name for file in files if file.folder == folder][:most]]

    for release in RELEASES:
        for recipe in (AUTO, *RECIPES):
            for model in names("diffusion_models", 3):
                for lora in names("loras", 2):
                    yield LoadRequest(release, recipe=recipe, diffusion_model_file=model, lora_file=lora)


def changed(request: LoadRequest, changes: tuple[tuple[str, str], ...]) -> LoadRequest:
    return replace(request, **{"release" if name == "model" else name: value for name, value in changes})


def follow(request: LoadRequest, result: LoadPlan, files: tuple[FoundFile, ...], hardware: object) -> list[str]:
    """The first button of each plan, clicked until none is left; returns what went wrong."""
    seen = {request}
    for _ in range(MOST_CLICKS):
        cures = [warning for warning in result.warnings if warning.changes]
        if not cures:
            bad = BAD_PAIRS & {warning.code for warning in result.warnings}
            # A model of another release than asked for cannot be cured by a LoRA's input alone.
            return [f"left with {bad}"] if bad - {"lora_of_other_release"} else []
        request = changed(request, cures[0].changes)
        if request in seen:
            return [f"{cures[0].code} leads in a circle"]
        seen.add(request)
        result = plan(request, hardware, files)  # type: ignore[arg-type]
        if result.error:
            return [f"{cures[0].code} leads to: {result.error}"]
    return [f"still {cures[0].code} after {MOST_CLICKS} clicks"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("card", ["4060Ti-8", "4090-24", "M2-64"])
def test_buttons_lead_to_a_plan_without_bad_pairs(card: str, name: str) -> None:
    files, hardware = tuple(on_disk(file) for file in SETS[name]), machine(card)
    wrong = []
    for request in wishes(files):
        result = plan(request, hardware, files)
        for warning in result.warnings:
            if warning.changes:
                first = replace(result, warnings=(warning,))
                wrong += [(problem, request) for problem in follow(request, first, files, hardware)]
    assert wrong == []


@pytest.mark.parametrize("name", SETS)
def test_a_recipe_that_nothing_carries_is_never_used_silently(name: str) -> None:
    files = tuple(on_disk(file) for file in SETS[name])
    recipe_of = {file.listed_name: file.identity.recipe for file in files if file.identity}
    for request in wishes(files):
        result = plan(request, machine("4060Ti-8"), files)
        model, lora = result.find_file("diffusion_model"), result.find_file("lora")
        if model is None or result.warnings or not model.on_disk or (lora and not lora.on_disk):
            continue
        carriers = {recipe_of[model.listed_name], recipe_of[lora.listed_name] if lora else ""}
        assert result.recipe in carriers, request
