"""Every way to make pictures with the files there are (diffusion model x LoRA), judged for one machine and ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .choices import Choice, choices_for, find_format_refusal
from .defects import LIGHTNING_RECIPES, find_defects
from .found_file import FoundFile
from .hardware import GIB, KIND_CPU, Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, PlanWarning, Refusal, StagePlan
from .memory import (
    HOST_RAM_BYTES,
    Weights,
    as_held,
    dtype_of_file,
    gib,
    is_resident,
    sample_activation_bytes,
    sample_stage,
    usable_vram_bytes,
)
from .releases import RELEASES, Release
from .request import AUTO, RECIPE_BASE, LoadRequest, file_input
from .weight_format import EXACTNESS

# Sizes are compared in these steps, so that a difference nobody waits for does not outweigh a better recipe.
FETCH_STEP_BYTES = 4 * GIB
STREAM_STEP_BYTES = 2 * GIB
ENCODER_BYTES = 16 * GIB  # the larger text encoder, where the other one may not be known yet
PAIR = " with "


@dataclass(frozen=True, slots=True)
class Candidate:
    """One diffusion model with or without a LoRA, under one recipe, with its memory while sampling."""

    recipe: str
    diffusion_model: Choice
    lora: Choice | None
    defects: tuple[PlanWarning, ...]
    modulation_table: bool
    sample: StagePlan
    evaluations: int
    on_processor: bool
    weights: Weights
    weight_dtype: str = ""  # torch's name for what ComfyUI is told to hold the weights in; "": as it decides
    as_asked: bool = True  # False where the recipe is another than the one asked for: nothing here carries that one

    @property
    def missing_bytes(self) -> int:
        """Bytes to fetch for it."""
        return self.diffusion_model.missing_bytes + (self.lora.missing_bytes if self.lora else 0)

    @property
    def resident(self) -> bool:
        """True if nothing is moved to the device on each step."""
        return self.sample.streamed_bytes == 0

    @property
    def affords_base(self) -> bool:
        """True if the full recipe takes a bearable time: nothing is streamed and a graphics card does the sums."""
        return self.resident and not self.on_processor


def rank(candidate: Candidate) -> tuple[Any, ...]:
    """Sort key, best first. The order of the numbers is the selection policy; the README's table follows from it.

    1. what is on disk beats what has to be fetched; of what has to be fetched, clearly fewer bytes;
    2. no known defect, the recipe asked for (auto never sees defective pairs, an explicit choice may);
    3. a model whose name or header says its release;
    4. weights that stay on the device; if none do, clearly fewer bytes moved per step;
    5. base where the weights stay on a graphics card, otherwise the fewest model evaluations;
    6. a file of the catalog, of those to fetch one whose exact size is known; then the most exact weights;
    7. fewer bytes to fetch, then the newer LoRA, then the smaller LoRA file;
    8. the copy in fewer subfolders, then by name, so that the order of the files decides nothing.
    """
    model = candidate.diffusion_model
    exactness = EXACTNESS.index(model.identity.weight_format)
    row = model.row
    lora = candidate.lora
    return (
        candidate.missing_bytes > 0,
        len(candidate.defects) + (not candidate.as_asked),
        not model.identity.says_release,
        round(candidate.missing_bytes / FETCH_STEP_BYTES),
        not candidate.resident,
        round(candidate.sample.streamed_bytes / STREAM_STEP_BYTES),
        0 if candidate.affords_base and candidate.recipe == RECIPE_BASE else candidate.evaluations,
        not model.is_known,
        not model.on_disk and row is not None and not row.size_is_exact,
        exactness,
        candidate.missing_bytes,
        -(lora.identity.version[0] * 100 + lora.identity.version[1]) if lora else 0,
        lora.size_bytes if lora else 0,
        *model.place,
        *(lora.place if lora else ()),
    )


def build_candidates(
    request: LoadRequest,
    hardware: Hardware,
    files: Sequence[FoundFile],
    chosen_model: Choice | None,
    chosen_lora: Choice | None,
    encoder_bytes: int,
) -> tuple[list[Candidate], list[Candidate], list[Refusal]]:
    """All candidates for the request, best first; those left out for their defects alone; and why each was refused.

    `encoder_bytes`: what the text encoder wants of the device.
    """
    release = RELEASES[request.release]
    candidates: list[Candidate] = []
    spoiled: list[Candidate] = []
    refusals: list[Refusal] = []
    loras = [chosen_lora] if chosen_lora else _lightning_loras(release, files)
    for model in [chosen_model] if chosen_model else _models_of(release, files):
        explicit_format = chosen_model is not None or request.precision != AUTO
        if request.precision not in (AUTO, model.identity.weight_format):
            if chosen_model is None:
                continue
            reason = f"it is {model.identity.weight_format}, and precision is set to {request.precision}"
            refusals.append(Refusal(model.name, reason))
            continue
        reason = find_format_refusal(model, hardware, explicit=explicit_format)
        if reason:
            refusals.append(Refusal(model.name, reason))
            continue
        for recipe, lora in _recipes_of(request, model, loras, chosen_model, chosen_lora):
            if recipe not in release.settings:
                named = lora if lora and lora.identity.recipe == recipe else model
                reason = f"it is for '{recipe}', which {release.name} does not have"
                if named is chosen_model:
                    reason += f"; if it is none such, set recipe to '{RECIPE_BASE}'"
                refusals.append(Refusal(named.name, reason))
                continue
            candidate = _judge(request, hardware, release, recipe, model, lora, encoder_bytes)
            reason = "" if chosen_model else _find_memory_refusal(candidate, hardware)
            if not reason and candidate.defects and request.recipe == AUTO and not (chosen_model or chosen_lora):
                reason = candidate.defects[0].message
                spoiled.append(candidate)
            if reason:
                title = f"{model.name}{PAIR}{lora.name}" if lora else model.name
                refusals.append(Refusal(title, reason))
            else:
                candidates.append(candidate)
    candidates.sort(key=rank)
    return candidates, spoiled, _worth_telling(refusals, files, everything=not candidates)


def _worth_telling(refusals: list[Refusal], files: Sequence[FoundFile], *, everything: bool) -> list[Refusal]:
    """Each refusal once; where there is something to use, only of what is on disk, and pairs by their first file."""
    here = {file.name for file in files}
    kept: dict[str, Refusal] = {}
    for refusal in refusals:
        parts = refusal.name.split(PAIR)
        if everything:
            kept.setdefault(parts[0], Refusal(parts[0], refusal.reason))
        elif here.issuperset(parts):
            kept.setdefault(refusal.name, refusal)
    return list(kept.values())


def _models_of(release: Release, files: Sequence[FoundFile]) -> list[Choice]:
    return [c for c in choices_for(ROLE_DIFFUSION_MODEL, files) if c.identity.release == release.name]


def _lightning_loras(release: Release, files: Sequence[FoundFile]) -> list[Choice]:
    return [
        choice
        for choice in choices_for(ROLE_LORA, files)
        if choice.identity.release == release.name and choice.identity.recipe in LIGHTNING_RECIPES
    ]


def _recipes_of(
    request: LoadRequest,
    model: Choice,
    loras: Sequence[Choice | None],
    chosen_model: Choice | None,
    chosen_lora: Choice | None,
) -> list[tuple[str, Choice | None]]:
    """The (recipe, LoRA) pairs one diffusion model allows under the request."""
    own = model.identity.recipe
    if chosen_lora is not None:
        recipe = chosen_lora.identity.recipe
        if chosen_model is None and own != RECIPE_BASE and (recipe or own != request.recipe):
            return []
        if recipe:
            return [(recipe, chosen_lora)]  # a Lightning LoRA brings its own step count
        if request.recipe in (AUTO, own, *LIGHTNING_RECIPES):
            return [(own, chosen_lora)]  # Lightning without its LoRA: there is room for one
        return [(request.recipe, chosen_lora)] if chosen_model else []
    pairs: list[tuple[str, Choice | None]] = [(own, None)]
    if chosen_model and request.recipe not in (AUTO, own, *LIGHTNING_RECIPES):
        pairs.append((request.recipe, None))  # the user knows better than the file's name what it was trained for
    if own == RECIPE_BASE or (chosen_model and request.recipe != AUTO):
        pairs += [(lora.identity.recipe, lora) for lora in loras if lora is not None]
    return [(recipe, lora) for recipe, lora in pairs if request.recipe in (AUTO, recipe)]


def _judge(
    request: LoadRequest,
    hardware: Hardware,
    release: Release,
    recipe: str,
    model: Choice,
    lora: Choice | None,
    encoder_bytes: int,
) -> Candidate:
    """The candidate's memory and defects. The table is for all cards but those on which both models fit whole: there
    it makes a step a twentieth faster at most, and each new schedule costs reading a third of the model.
    """
    settings = release.settings[recipe]
    activation = sample_activation_bytes(release.sampled_pixels, hardware)
    usable = usable_vram_bytes(hardware, request.vram_limit_bytes)
    weight_format = model.identity.weight_format
    whole, dtype = as_held(model.weights, weight_format, hardware), ""
    if hardware.kind == KIND_CPU and not is_resident(whole, activation + ENCODER_BYTES, usable):
        whole, dtype = model.weights, dtype_of_file(weight_format)
    fits = is_resident(whole, activation + encoder_bytes, usable)
    has_table = request.modulation == "on" or (request.modulation == AUTO and not fits and not hardware.one_memory)
    weights = whole.without_modulation() if has_table else whole
    sample = sample_stage(weights, activation, usable, hardware, steps=settings.steps, has_table=has_table)
    lora_identity = lora.identity if lora else None
    found = find_defects(release.name, model.identity, lora_identity, hardware)
    defects = tuple(_keep_model(defect, model) for defect in found)
    evaluations = settings.steps * (2 if settings.cfg > 1 else 1)
    return Candidate(
        recipe,
        model,
        lora,
        defects,
        has_table,
        sample,
        evaluations,
        on_processor=hardware.kind == KIND_CPU,
        weights=weights,
        weight_dtype=dtype,
        as_asked=request.recipe in (AUTO, recipe),
    )


def _keep_model(defect: PlanWarning, model: Choice) -> PlanWarning:
    """A cure that says nothing of the model must not bring another in the place of the user's own."""
    inputs = [name for name, _ in defect.changes]
    own_input = file_input(ROLE_DIFFUSION_MODEL)
    if model.is_known or not inputs or own_input in inputs:
        return defect
    return replace(defect, changes=(*defect.changes, (own_input, model.listed_name)))


def _find_memory_refusal(candidate: Candidate, hardware: Hardware) -> str:
    """Why the weights cannot be held at all; "" where they can (dynamic VRAM reads from disk what does not fit)."""
    size = candidate.weights.weight_bytes
    weight_format = candidate.diffusion_model.identity.weight_format
    total = gib(hardware.ram_total_bytes)
    holds = size + HOST_RAM_BYTES <= hardware.ram_total_bytes
    if hardware.one_memory:
        return "" if holds else f"{weight_format} ({gib(size)}) does not fit into {total} of memory"
    must_hold = candidate.sample.streamed_bytes > 0 and not hardware.dynamic_vram
    if must_hold and not holds:
        return f"{weight_format} ({gib(size)}) must stay in RAM on this ComfyUI, and the machine has {total}"
    return ""
