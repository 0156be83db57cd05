"""Combinations known to give bad pictures, and machine facts that spoil them; each with its cure.

Sources: catalog.json `bad_combinations`, i.e. the Qwen-Image-Lightning README and the issue threads named in the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from .catalog import CATALOG
from .found_file import Identity
from .hardware import Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, PlanWarning
from .request import RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8

LIGHTNING_RECIPES = (RECIPE_LIGHTNING_8, RECIPE_LIGHTNING_4)


def find_defects(
    release: str, diffusion_model: Identity, lora: Identity | None, *, lora_was_named: bool
) -> Iterator[PlanWarning]:
    """What is known to be wrong with this diffusion model and LoRA together. Auto never chooses such a pair.

    `lora_was_named`: the user named the LoRA's file, so that only another file name can cure it.
    """
    if lora is None:
        return
    title = "a Lightning LoRA" if lora.recipe in LIGHTNING_RECIPES else "a LoRA"
    if diffusion_model.recipe == RECIPE_DISTILLED:
        yield PlanWarning(
            "lora_on_distilled",
            f"The distilled model is used with {title}; the two are not made for each other and spoil the picture.",
            "Choose recipe 'distilled' without a LoRA, or a base model for the LoRA.",
            "lora_file",
            "auto",
        )
    elif diffusion_model.recipe in LIGHTNING_RECIPES and lora.recipe in LIGHTNING_RECIPES:
        yield PlanWarning(
            "lora_on_fused",
            "This diffusion model has Lightning built in; a Lightning LoRA on top gives black or overcooked pictures.",
            "Set lora_file back to auto.",
            "lora_file",
            "auto",
        )
    if lora.recipe in LIGHTNING_RECIPES and diffusion_model.recipe == RECIPE_BASE:
        yield from _weight_format_defects(release, diffusion_model, lora, lora_was_named)
    if lora.release and lora.release != release and lora.recipe in LIGHTNING_RECIPES:
        yield PlanWarning(
            "lora_of_other_release",
            f"The {lora.recipe} LoRA was made for {lora.release}, the model is {release}; pictures get blurred.",
            f"Set lora_file to auto, or choose the LoRA for {release}.",
            "lora_file",
            "auto",
        )


def _weight_format_defects(
    release: str, diffusion_model: Identity, lora: Identity, lora_was_named: bool
) -> Iterator[PlanWarning]:
    if lora.trained_on == "bf16" and diffusion_model.weight_format == "fp8_e4m3fn":
        # ModelTC/Qwen-Image-Lightning issue 32 and README of 2025-10-14; ComfyUI_examples issue 68 for 2512.
        cure = _cure_for_plain_fp8(release, lora.recipe, lora_was_named)
        yield PlanWarning(
            "lightning_on_plain_fp8",
            "This Lightning LoRA was trained on bf16 weights; on the plain fp8 file it leaves a grid in pictures.",
            *cure,
        )
    elif lora.trained_on == "fp8_e4m3fn" and diffusion_model.weight_format != "fp8_e4m3fn":
        yield PlanWarning(
            "fp8_lightning_on_other",
            "This Lightning LoRA was trained on the plain fp8 file; on other weights it is untested.",
            "Use qwen_image_fp8_e4m3fn.safetensors with it, or a LoRA without 'fp8' in its name.",
        )


def _cure_for_plain_fp8(release: str, recipe: str, lora_was_named: bool) -> tuple[str, str, str]:
    """Text of the cure, and the input and value that bring it: a LoRA for plain fp8, a fused file, or another base."""
    for row in CATALOG:
        if row.role == ROLE_LORA and row.release == release and row.trained_on == "fp8_e4m3fn":
            if lora_was_named:
                return f"Use {row.name}, which was trained on this file.", "lora_file", row.name
            return f"Use '{row.recipe}': its {row.name} was trained on this file.", "recipe", row.recipe
    for row in CATALOG:
        if row.role == ROLE_DIFFUSION_MODEL and row.release == release and row.recipe == recipe:
            return f"Use {row.name}, which needs no LoRA.", "diffusion_model_file", row.name
    for row in CATALOG:
        is_base = row.role == ROLE_DIFFUSION_MODEL and row.release == release and row.recipe == RECIPE_BASE
        if is_base and row.weight_format != "fp8_e4m3fn":
            return f"Use {row.name} with it, or recipe 'base'.", "diffusion_model_file", row.name
    return "Use recipe 'base'.", "recipe", RECIPE_BASE


def find_machine_warnings(hardware: Hardware) -> Iterator[PlanWarning]:
    """What is known to spoil or slow Qwen pictures on this machine whatever is loaded."""
    for flag in hardware.risky_flags:
        yield PlanWarning(
            "risky_flag",
            f"ComfyUI runs with {flag}, which gives black pictures with Qwen-Image on many cards.",
            f"Start ComfyUI without {flag}.",
        )
    if not hardware.supports_bf16 and not hardware.one_memory:
        yield PlanWarning(
            "no_bf16",
            f"{hardware.device_name} has no bf16: ComfyUI computes Qwen-Image in fp32, two to five times slower.",
            "Nothing to set; expect long runs, and prefer recipe 'Lightning 4 steps'.",
        )
