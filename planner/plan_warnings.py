"""What a user should know about the chosen files before they run, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .candidates import Candidate
from .catalog_file import FOLDERS
from .choices import Choice
from .found_file import FoundFile
from .hardware import Hardware
from .load_plan import PlanWarning
from .memory import gib
from .releases import Release
from .request import AUTO, LoadRequest


def find_plan_warnings(
    request: LoadRequest,
    release: Release,
    best: Candidate,
    text_encoder: Choice,
    vae: Choice,
    candidates: Sequence[Candidate],
    files: Sequence[FoundFile],
) -> Iterator[PlanWarning]:
    """What is odd about the chosen files, and what a download would make faster."""
    model = best.diffusion_model.identity
    if model.release and model.release != release.name:
        yield PlanWarning(
            "model_of_other_release",
            f"{best.diffusion_model.name} looks like {model.release} (by {model.evidence}), "
            f"but it is run with the settings of {release.name}.",
            f"Set model to '{model.release}'.",
            "model",
            model.release,
        )
    if best.lora is None and model.recipe != best.recipe:
        yield PlanWarning(
            "recipe_not_of_file",
            f"{best.diffusion_model.name} looks like a '{model.recipe}' model (by {model.evidence}), "
            f"but recipe is '{best.recipe}'.",
            f"Set recipe to '{model.recipe}' if that is what the file is.",
            "recipe",
            model.recipe,
        )
    if best.lora is not None and request.recipe not in (AUTO, best.recipe):
        yield PlanWarning(
            "recipe_of_lora",
            f"recipe is '{request.recipe}', but {best.lora.name} is for '{best.recipe}', whose settings are used.",
            f"Set recipe to '{best.recipe}', or lora_file back to auto.",
            "recipe",
            best.recipe,
        )
    if vae.identity.vae_kind != release.vae_kind:
        yield PlanWarning(
            "other_vae",
            f"{vae.name} is the {vae.identity.vae_kind} VAE; {release.name} needs the {release.vae_kind} one.",
            "Set vae_file back to auto.",
            "vae_file",
            AUTO,
        )
    for choice in (best.diffusion_model, text_encoder, vae, best.lora):
        if choice is not None:
            yield from _warn_of_same_names(choice, files)
    faster = _find_faster(request, best, candidates)
    if faster is not None:
        names = ", ".join(c.name for c in (faster.diffusion_model, faster.lora) if c and not c.on_disk)
        yield PlanWarning(
            "faster_recipe_available",
            f"'{faster.recipe}' would need {faster.evaluations} model runs a picture instead of {best.evaluations}.",
            f"Choose recipe '{faster.recipe}' and fetch {names} ({gib(faster.missing_bytes)}).",
            "recipe",
            faster.recipe,
        )


def _find_faster(request: LoadRequest, best: Candidate, candidates: Sequence[Candidate]) -> Candidate | None:
    """A clearly faster recipe without a known defect that a download would bring, where the full recipe is slow."""
    if request.recipe != AUTO or best.affords_base or best.missing_bytes:
        return None
    better = [c for c in candidates if not c.defects and c.missing_bytes and 2 * c.evaluations <= best.evaluations]
    return min(better, key=lambda c: (c.missing_bytes, c.evaluations), default=None)


def _warn_of_same_names(choice: Choice, files: Sequence[FoundFile]) -> Iterator[PlanWarning]:
    same = [f for f in files if f.folder == FOLDERS[choice.identity.role] and f.name == choice.name]
    if choice.found is None:
        for file in same:
            yield PlanWarning(
                "broken_file",
                f"models/{file.folder}/{file.listed_name} cannot be used: {file.problem}.",
                "Delete or rename it, then fetch it again.",
            )
        return
    others = [f for f in same if f is not choice.found]
    if others:
        used = choice.found
        names = ", ".join(f"{f.listed_name} ({gib(f.size_bytes)})" for f in others)
        yield PlanWarning(
            "same_name",
            f"There are several files named {used.name} in models/{used.folder}: "
            f"{used.listed_name} ({gib(used.size_bytes)}) is used, not {names}.",
            "Remove the copies you do not need, or name the file with its subfolder in the node.",
        )


def warn_of_rereading(ram_needed: int, hardware: Hardware) -> PlanWarning:
    """RAM is too small for what a run wants to keep there."""
    return PlanWarning(
        "rereads_from_disk",
        f"Weights, text encoder and ComfyUI want {gib(ram_needed)} of RAM and the machine has "
        f"{gib(hardware.ram_total_bytes)}: some weights are read from disk again on every step.",
        "Close other programs, keep the model files on an SSD, and choose a smaller precision or fewer steps.",
    )
