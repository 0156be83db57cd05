"""Why a plan is as it is, in one sentence for each choice, shown on the node beside it."""

from __future__ import annotations

from .candidates import Candidate
from .choices import Choice
from .defects import LIGHTNING_RECIPES
from .hardware import Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER
from .memory import gib
from .releases import RELEASES
from .request import AUTO, RECIPE_BASE, LoadRequest


def recipe_reason(request: LoadRequest, best: Candidate) -> str:
    """Why this recipe."""
    if request.recipe == best.recipe:
        return "as chosen on the node"
    if best.lora is not None and best.lora.identity.recipe and request.names_file(ROLE_LORA):
        return f"what {best.lora.name} is made for"
    lightning = next((name for name in LIGHTNING_RECIPES[::-1] if name in RELEASES[request.release].settings), "")
    is_full = best.diffusion_model.identity.recipe == RECIPE_BASE
    if best.lora is not None and not best.lora.identity.recipe and is_full and lightning:
        return (
            f"{best.lora.name} takes the place of a Lightning LoRA; for fewer steps choose recipe '{lightning}', set "
            f"lora_file to auto and add {best.lora.name} by a LoraLoaderModelOnly node behind this one"
        )
    if best.affords_base and best.recipe == RECIPE_BASE:
        return "all weights stay on the device, so the full recipe runs at full speed"
    if request.names_file(ROLE_DIFFUSION_MODEL) and best.recipe == best.diffusion_model.identity.recipe:
        return f"what {best.diffusion_model.name} is made for"
    runs = f"{best.evaluations} model runs"
    moved = f"{gib(best.sample.streamed_bytes)} of weights are moved on every step"
    slow = "a processor is slow" if best.on_processor else moved
    if best.recipe == RECIPE_BASE:
        which = "that can be used here" if best.missing_bytes else "for which there are files"
        return f"the only recipe {which}; {slow} ({runs})"
    if best.affords_base:
        return f"the fastest recipe {'of those to fetch' if best.missing_bytes else 'for which there are files'}"
    return f"{slow}, so fewer steps count most ({runs})"


def file_reason(role: str, choice: Choice, best: Candidate, hardware: Hardware, *, explicit: bool) -> str:
    """Why this file for its role."""
    identity = choice.identity
    if explicit:
        return f"as named on the node; it is {identity.weight_format}"
    if choice.on_disk:
        known_by = f"recognised by {identity.evidence}" if identity.evidence else "its name says no release"
        start = f"on disk ({known_by})"
    else:
        start = "to be fetched: no file on disk does as well"
    if role == ROLE_DIFFUSION_MODEL:
        if best.resident:
            return f"{start}; {identity.weight_format} stays on the device as a whole"
        held, moved = gib(best.sample.resident_bytes), gib(best.sample.streamed_bytes)
        return f"{start}; of its {identity.weight_format} weights {held} stay on the device, {moved} are moved"
    if role == ROLE_TEXT_ENCODER:
        return f"{start}; the 7B encoder every Qwen-Image 1.x release uses, in {identity.weight_format}"
    if role == ROLE_LORA:
        return f"{start}; made for {identity.release} on {identity.trained_on} weights"
    return f"{start}; the VAE of this release"


def modulation_reason(request: LoadRequest, best: Candidate, hardware: Hardware) -> str:
    """Why the modulation layers are, or are not, replaced by a table."""
    saved = gib(best.diffusion_model.weights.modulation_bytes)
    if request.modulation != AUTO:
        return f"'{request.modulation}' as chosen on the node"
    if not best.modulation_table and hardware.one_memory:
        return "not used: the machine has one memory, so nothing is moved"
    if not best.modulation_table:
        return "not needed: all weights fit where they are"
    if best.resident:
        return f"leaves {saved} out, so that the rest and more of the text encoder stay on the device; same picture"
    return f"leaves {saved} out of what is moved on every step; same picture"
