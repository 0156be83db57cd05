"""What a user should know about the chosen files before they run, each with its cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .candidates import FETCH_STEP_BYTES, Candidate, rank
from .catalog import find_catalog_file
from .catalog_file import FOLDERS
from .choices import Choice
from .found_file import FoundFile, Identity
from .hardware import GIB, Hardware
from .load_plan import PlannedFile, PlanWarning, StagePlan
from .memory import gib
from .releases import RELEASES, Release
from .request import AUTO, LoadRequest, file_input

LARGE_FORMATS = ("fp32", "bf16", "fp16")
MUCH_RAM_BYTES = 48 * GIB  # measured with 16 and 32 GiB
_FEW_STEPS = re.compile(r"lightning|turbo|(?<!\d)\d{1,2}[-_ ]?steps?(?![a-z]|[-_ ]?\d{3})")


def find_plan_warnings(
    request: LoadRequest,
    release: Release,
    best: Candidate,
    text_encoder: Choice,
    vae: Choice,
    candidates: Sequence[Candidate],
    spoiled: Sequence[Candidate],
    files: Sequence[FoundFile],
) -> Iterator[PlanWarning]:
    """What is odd about the chosen files, and what a download would make faster."""
    yield from _warn_of_model(request, release, best)
    if best.lora is not None:
        yield from _warn_of_lora(request, best, best.lora)
    if vae.identity.vae_kind != release.vae_kind:
        yield PlanWarning(
            "other_vae",
            f"{vae.name} is the {vae.identity.vae_kind} VAE; {release.name} needs the {release.vae_kind} one.",
            "Set vae_file back to auto.",
            (("vae_file", AUTO),),
        )
    for choice in (best.diffusion_model, text_encoder, vae, best.lora):
        if choice is not None and not (choice.on_disk and request.names_file(choice.identity.role)):
            yield from _warn_of_same_names(choice, files)
    faster = _find_faster(request, best, candidates)
    if faster is not None:
        files_of_it = [c for c in (faster.diffusion_model, faster.lora) if c]
        names = ", ".join(choice.name for choice in files_of_it if not choice.on_disk)
        changes = [("recipe", faster.recipe)]
        if faster is not min((c for c in (*spoiled, *candidates) if c.recipe == faster.recipe), key=rank):
            # The recipe alone would bring other files: those on disk with their defect, or the catalog's own.
            changes += [(file_input(choice.identity.role), choice.listed_name) for choice in files_of_it]
        yield PlanWarning(
            "faster_recipe_available",
            f"'{faster.recipe}' would need {faster.evaluations} model runs a picture instead of {best.evaluations}.",
            f"Choose recipe '{faster.recipe}' and fetch {names} ({gib(faster.missing_bytes)}).",
            tuple(changes),
        )


def _warn_of_model(request: LoadRequest, release: Release, best: Candidate) -> Iterator[PlanWarning]:
    model, name = best.diffusion_model.identity, best.diffusion_model.name
    if not model.evidence:
        return
    if model.says_release and model.release != release.name:
        changes = [("model", model.release)]
        if best.lora and best.lora.identity.recipe not in ("", *RELEASES[model.release].settings):
            changes.append(("lora_file", AUTO))
        if request.recipe not in (AUTO, *RELEASES[model.release].settings):
            changes.append(("recipe", AUTO))
        yield PlanWarning(
            "model_of_other_release",
            f"{name} looks like {model.release} (by {model.evidence}), "
            f"but it is run with the settings of {release.name}.",
            f"Set model to '{model.release}'.",
            tuple(changes),
        )
    carried_by_lora = best.lora is not None and best.lora.identity.recipe == best.recipe
    if model.recipe != best.recipe and not carried_by_lora:
        has_recipe = model.recipe in release.settings
        yield PlanWarning(
            "recipe_not_of_file",
            f"{name} looks like a '{model.recipe}' model (by {model.evidence}), but recipe is '{best.recipe}'.",
            f"Set recipe to '{model.recipe}' if that is what the file is."
            if has_recipe
            else f"{release.name} has no recipe '{model.recipe}': choose the model that the file is of.",
            (("recipe", model.recipe),) if has_recipe else (),
        )
    if model.lacks_marker:
        yield PlanWarning(
            "no_marker_of_2511",
            f"{name} lacks Edit-2511's mark (__index_timestep_zero__), without which ComfyUI shows it reference "
            "pictures in the way of the releases before: they drift.",
            "Put the node FluxKontextMultiReferenceLatentMethod, set to index_timestep_zero, behind both text encoder "
            "nodes, or use Comfy-Org's file.",
        )


def _warn_of_lora(request: LoadRequest, best: Candidate, lora: Choice) -> Iterator[PlanWarning]:
    if not best.as_asked and lora.identity.recipe:
        yield PlanWarning(
            "recipe_of_lora",
            f"recipe is '{request.recipe}', but {lora.name} is for '{best.recipe}', whose settings are used.",
            f"Set lora_file back to auto, or recipe to '{best.recipe}'.",
            (("lora_file", AUTO),),
        )
    elif not best.as_asked:
        yield PlanWarning(
            "no_room_for_lightning",
            f"{lora.name} takes the place of the LoRA that '{request.recipe}' needs: the settings of '{best.recipe}' "
            "are used.",
            f"For '{request.recipe}' set lora_file to auto, and add {lora.name} by a LoraLoaderModelOnly node between "
            f"this node and the sampler. Else set recipe to '{best.recipe}'.",
            (("recipe", best.recipe),),
        )
    if not lora.identity.recipe and _FEW_STEPS.search(lora.name.lower()):
        yield PlanWarning(
            "unknown_few_steps_lora",
            f"{lora.name} sounds like a LoRA for few steps, but this node does not know for how many: the settings "
            f"of '{best.recipe}' are used.",
            "Set steps, cfg and shift as its author says, in the sampler's nodes instead of by this node's outputs.",
        )


def _find_faster(request: LoadRequest, best: Candidate, candidates: Sequence[Candidate]) -> Candidate | None:
    """A clearly faster recipe without a known defect that a download would bring, where the full recipe is slow."""
    if request.recipe != AUTO or best.affords_base or best.missing_bytes:
        return None
    better = [c for c in candidates if not c.defects and c.missing_bytes and 2 * c.evaluations <= best.evaluations]
    return min(better, key=lambda c: (round(c.missing_bytes / FETCH_STEP_BYTES), rank(c)), default=None)


def _warn_of_same_names(choice: Choice, files: Sequence[FoundFile]) -> Iterator[PlanWarning]:
    same = [f for f in files if f.folder == FOLDERS[choice.identity.role] and f.name == choice.name]
    if choice.found is None:
        for file in same:
            problem = f"cannot be used: {file.problem}"
            cure = "Delete or rename it, then fetch it again."
            if file.identity is not None:
                other = file.identity.catalog_name or _kind_of(file.identity)
                problem, cure = (
                    f"is another file, by {file.identity.evidence}: {other}",
                    "Rename it, then fetch this one.",
                )
            yield PlanWarning("broken_file", f"models/{file.folder}/{file.listed_name} {problem}.", cure)
        return
    used = choice.found
    others = [f for f in same if f.identity is not None and f.listed_name != used.listed_name]
    if others:
        names = ", ".join(f"{f.listed_name} ({gib(f.size_bytes)})" for f in others)
        yield PlanWarning(
            "same_name",
            f"There are several files named {used.name} in models/{used.folder}: "
            f"{used.listed_name} ({gib(used.size_bytes)}) is used, not {names}.",
            "Remove the copies you do not need, or name the file with its subfolder in the node.",
        )


def warn_of_broken(
    release: Release, planned: Sequence[PlannedFile], files: Sequence[FoundFile]
) -> Iterator[PlanWarning]:
    """Damaged files of the release, which are passed over. Those in the way of a download are told of elsewhere."""
    good = {file.listed_name for file in files if file.identity}
    for file in files:
        row = find_catalog_file(file.name)
        is_wanted = row is not None and row.folder == file.folder and row.release in ("", release.name)
        is_in_the_way = any(p.name == file.name and not p.on_disk for p in planned)
        if file.broken and is_wanted and not is_in_the_way and file.listed_name not in good:
            yield PlanWarning(
                "broken_file",
                f"models/{file.folder}/{file.listed_name} is passed over, for it cannot be used: {file.problem}.",
                "Delete it, or put a good copy there.",
            )


def _kind_of(identity: Identity) -> str:
    if identity.vae_kind:
        return f"the {identity.vae_kind} VAE"
    return f"one for {identity.release}" if identity.release else f"one in {identity.weight_format}"


def warn_of_misplaced(missing: PlannedFile, files: Sequence[FoundFile]) -> Iterator[PlanWarning]:
    """A file that is to be fetched lies in the folder of another kind of model."""
    for file in files:
        if file.name == missing.name and file.folder != missing.folder and file.belongs_to == missing.role:
            yield PlanWarning(
                "misplaced_file",
                f"{missing.name} is to be fetched, but there is one in models/{file.folder}, where ComfyUI does not "
                "look for it.",
                f"Move models/{file.folder}/{file.listed_name} to models/{missing.folder}, then press R.",
            )
            return


def warn_of_little_vram(usable_bytes: int, needed_bytes: int, *, is_limited: bool) -> PlanWarning:
    """Less of the card may be used (`is_limited`: by the user's limit) than a step's working memory and buffers."""
    return PlanWarning(
        "too_little_vram",
        f"{gib(usable_bytes)} of the card may be used, and a step needs {gib(needed_bytes)} beside all weights: "
        "it will probably run out of memory.",
        "Raise vram_limit_gib, or make smaller pictures." if is_limited else "Make smaller pictures.",
    )


def warn_of_rereading(ram_needed: int, hardware: Hardware, best: Candidate) -> PlanWarning:
    """RAM is too small for what a run wants to keep there."""
    # With a LoRA that was trained on bf16 a smaller precision would be a bad pair.
    is_large = best.lora is None and best.diffusion_model.identity.weight_format in LARGE_FORMATS
    smaller = "a smaller precision or " if is_large else ""
    return PlanWarning(
        "rereads_from_disk",
        f"Weights, text encoder and ComfyUI want {gib(ram_needed)} of RAM and the machine has "
        f"{gib(hardware.ram_total_bytes)}: some weights are read from disk again on every step.",
        f"Close other programs, keep the model files on an SSD, and choose {smaller}fewer steps."
        + (" If they are on an NVMe disk, start ComfyUI with --fast-disk." if hardware.fast_disk_is_off else ""),
    )


def advise_fast_disk(sample: StagePlan, hardware: Hardware) -> Iterator[PlanWarning]:
    """ComfyUI's `--fast-disk` makes runs shorter where weights are moved and RAM is not plenty (bench/NOTES.md)."""
    if hardware.fast_disk_is_off and sample.streamed_bytes and hardware.ram_total_bytes < MUCH_RAM_BYTES:
        yield PlanWarning(
            "fast_disk_is_off",
            "ComfyUI copies all weights to RAM, also those that the card has room for.",
            "If the model files are on an NVMe disk, start ComfyUI with --fast-disk: it takes less RAM, and first runs "
            "and new prompts get shorter.",
        )
