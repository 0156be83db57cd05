"""Combinations known to give bad pictures, and machine facts that spoil them; each with its cure.

Sources: catalog.json `bad_combinations`, i.e. the Qwen-Image-Lightning README and the issue threads named in the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .catalog import CATALOG
from .choices import choice_of_row, find_format_refusal
from .found_file import Identity
from .hardware import Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, PlanWarning
from .releases import QWEN_IMAGE, RELEASES, Release
from .request import AUTO, RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8

LIGHTNING_RECIPES = (RECIPE_LIGHTNING_8, RECIPE_LIGHTNING_4)
PLAIN_FP8 = ("fp8_e4m3fn", "fp8_e5m2")


def find_defects(
    release: str, diffusion_model: Identity, lora: Identity | None, hardware: Hardware
) -> Iterator[PlanWarning]:
    """What is known to be wrong with this diffusion model and LoRA together. Auto never chooses such a pair.

    Of a model of another release than asked for, the pair is judged by the model's; to choose that release comes
    before any other cure. What a cure names can run on `hardware`.
    """
    if lora is None:
        return
    own_release = diffusion_model.release if diffusion_model.says_release else release
    for defect in _find_pair_defects(own_release, diffusion_model, lora, hardware):
        yield defect if own_release == release else replace(defect, changes=())


def _find_pair_defects(
    release: str, diffusion_model: Identity, lora: Identity, hardware: Hardware
) -> Iterator[PlanWarning]:
    own = diffusion_model.recipe
    without_lora = (("recipe", own), ("lora_file", AUTO)) if own in RELEASES[release].settings else ()
    is_lightning = lora.recipe in LIGHTNING_RECIPES
    if own == RECIPE_DISTILLED and is_lightning:
        yield PlanWarning(
            "lora_on_distilled",
            "The distilled model is used with a Lightning LoRA; both shorten the way to a picture, and together they "
            "spoil it.",
            "Choose recipe 'distilled' without a LoRA, or a base model for the LoRA.",
            without_lora,
        )
    elif own in LIGHTNING_RECIPES and is_lightning:
        yield PlanWarning(
            "lora_on_fused",
            "This diffusion model has Lightning built in; a Lightning LoRA on top gives black or overcooked pictures.",
            f"Use it without a LoRA: recipe '{own}', lora_file auto.",
            without_lora,
        )
    if is_lightning and own == RECIPE_BASE:
        yield from _weight_format_defects(release, diffusion_model, lora, hardware)
    # The other way round a LoRA works: one for Qwen-Image on an Edit model (Qwen-Image-Lightning issue 26).
    fits_edit = lora.release == QWEN_IMAGE and RELEASES[release].sees_images
    if lora.release and lora.release != release and is_lightning and not fits_edit:
        yield PlanWarning(
            "lora_of_other_release",
            f"The {lora.recipe} LoRA was made for {lora.release}, the model is {release}; pictures may get blurred.",
            f"Set lora_file to auto, or choose the LoRA for {release}.",
            (("lora_file", AUTO),) if own in RELEASES[release].settings else (),
        )


def _weight_format_defects(
    release: str, diffusion_model: Identity, lora: Identity, hardware: Hardware
) -> Iterator[PlanWarning]:
    if lora.trained_on == "bf16" and diffusion_model.weight_format in PLAIN_FP8:
        # ModelTC/Qwen-Image-Lightning issue 32 and README of 2025-10-14; ComfyUI_examples issue 68 for 2512. That
        # e5m2, rounded the same way to fewer bits, does it too is inferred.
        cure = _cure_for_plain_fp8(release, lora.recipe, diffusion_model.weight_format, hardware)
        yield PlanWarning(
            "lightning_on_plain_fp8",
            "This Lightning LoRA was trained on bf16 weights; on the plain fp8 file it leaves a grid in pictures.",
            *cure,
        )
    elif lora.trained_on == "fp8_e4m3fn" and diffusion_model.weight_format != "fp8_e4m3fn":
        yield PlanWarning(
            "fp8_lightning_on_other",
            "This Lightning LoRA was trained on the plain fp8 file; on other weights it is untested.",
            "Use qwen_image_fp8_e4m3fn.safetensors with it, or a LoRA without 'fp8' in its name."
            if release == QWEN_IMAGE
            else "Use a LoRA without 'fp8' in its name.",
        )


def _cure_for_plain_fp8(
    release: str, recipe: str, weight_format: str, hardware: Hardware
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Text of the cure, and the inputs that bring it: a LoRA for this format, a fused file, or another base."""
    rows = [row for row in CATALOG if row.release == release]
    for row in rows:
        if row.role == ROLE_LORA and row.trained_on == weight_format:
            cure = f"Use '{row.recipe}' with {row.name}, which was trained on this file."
            return cure, (("recipe", row.recipe), ("lora_file", row.name))
    models = [
        row
        for row in rows
        if row.role == ROLE_DIFFUSION_MODEL and not find_format_refusal(choice_of_row(row), hardware, explicit=True)
    ]
    for row in models:
        if row.recipe == recipe:
            cure = f"Use {row.name}, which needs no LoRA."
            changes = (("recipe", recipe), ("diffusion_model_file", row.name), ("lora_file", AUTO))
            return cure, (*changes, ("precision", AUTO))
    for row in models:
        if row.recipe == RECIPE_BASE and row.weight_format not in PLAIN_FP8:
            return f"Use {row.name} with it, or recipe 'base'.", (
                ("diffusion_model_file", row.name),
                ("precision", AUTO),
            )
    return "Use recipe 'base' without a LoRA.", (("recipe", RECIPE_BASE), ("lora_file", AUTO))


def find_machine_warnings(hardware: Hardware, release: Release, recipe: str = "") -> Iterator[PlanWarning]:
    """What is known to spoil or slow pictures of `release` on this machine whatever is loaded.

    `recipe`: the one chosen, "" where none could be.
    """
    for flag in hardware.risky_flags:
        yield PlanWarning(
            "risky_flag",
            f"ComfyUI runs with {flag}, which gives black pictures with Qwen-Image on many cards.",
            f"Start ComfyUI without {flag}.",
        )
    if not hardware.supports_bf16 and not hardware.one_memory:
        fewest = min(release.settings, key=lambda name: release.settings[name].steps)
        advice = f" Recipe '{fewest}' needs the fewest steps." if fewest != recipe else ""
        yield PlanWarning(
            "no_bf16",
            f"{hardware.device_name} has no bf16: ComfyUI computes Qwen-Image in fp32, two to five times slower.",
            f"Expect long runs.{advice}",
        )
