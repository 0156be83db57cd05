"""Why a plan is as it is, in one sentence for each choice, shown on the node beside it."""

from __future__ import annotations

from .candidates import Candidate
from .choices import Choice
from .hardware import Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER
from .memory import gib
from .request import AUTO, RECIPE_BASE, LoadRequest


def recipe_reason(request: LoadRequest, best: Candidate) -> str:
    """Why this recipe."""
    if request.recipe == best.recipe:
        return "as chosen on the node"
    if best.lora is not None and best.lora.identity.recipe and request.names_file(ROLE_LORA):
        return f"what {best.lora.name} is made for"
    if best.lora is not None and not best.lora.identity.recipe and best.diffusion_model.identity.recipe == RECIPE_BASE:
        return (
            f"{best.lora.name} takes the place of a Lightning LoRA; for fewer steps set lora_file to auto and add it "
            "by a LoraLoaderModelOnly node behind this one"
        )
    if best.on_processor:
        return f"a processor is slow, so fewer steps count most ({best.evaluations} model runs)"
    if best.resident and best.recipe == RECIPE_BASE:
        return "all weights stay on the device, so the full recipe runs at full speed"
    if best.resident:
        return "the fastest recipe among the files that are there"
    moved = gib(best.sample.streamed_bytes)
    return f"{moved} of weights are moved on every step, so fewer steps count most ({best.evaluations} model runs)"


def file_reason(role: str, choice: Choice, best: Candidate, hardware: Hardware, *, explicit: bool) -> str:
    """Why this file for its role."""
    identity = choice.identity
    if explicit:
        return f"as named on the node; it is {identity.weight_format}"
    if choice.on_disk:
        known_by = f"recognised by {identity.evidence}" if identity.evidence else "its name says no release"
        start = f"on disk ({known_by})"
    else:
        start = "to be fetched: nothing on disk fits as well"
    if role == ROLE_DIFFUSION_MODEL:
        if best.resident:
            return f"{start}; {identity.weight_format} stays on the device as a whole"
        held = gib(best.sample.resident_bytes)
        return f"{start}; {identity.weight_format} moves the fewest bytes, {held} of it stay on the device"
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
