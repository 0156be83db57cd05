"""Decides the files, the recipe, the settings and the use of memory: `plan` is the planner's whole face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .candidates import Candidate, build_candidates
from .catalog_file import FOLDERS
from .choices import Choice, FileChoiceError, broken_files, choices_for, get_chosen
from .defects import find_machine_warnings
from .found_file import FoundFile
from .hardware import Hardware
from .load_plan import (
    ROLE_DIFFUSION_MODEL,
    ROLE_LORA,
    ROLE_TEXT_ENCODER,
    ROLE_VAE,
    ROLES,
    LoadPlan,
    PlannedFile,
    Refusal,
)
from .memory import (
    HOST_RAM_BYTES,
    decode_stage,
    encode_stage,
    ram_needed_bytes,
    usable_vram_bytes,
    with_kept_models,
)
from .plan_warnings import (
    advise_fast_disk,
    find_plan_warnings,
    warn_of_broken,
    warn_of_little_vram,
    warn_of_misplaced,
    warn_of_rereading,
)
from .reasons import file_reason, modulation_reason, recipe_reason
from .releases import LORA_STRENGTH, RELEASES, Release
from .request import AUTO, RECIPES, LoadRequest, file_input
from .text_encoder import best_text_encoder, encoder_bytes_on, encoder_device, find_encoder_refusal


def plan(request: LoadRequest, hardware: Hardware, files: Sequence[FoundFile]) -> LoadPlan:
    """The LoadPlan for a request on a machine with these files. Pure: the same arguments give the same plan.

    Never raises for what users do: a request that cannot be carried out gives a plan whose `error` says why and what
    to do. Raises KeyError for a release that planner.releases does not have.
    """
    release = RELEASES[request.release]
    broken = broken_files(files)
    error = find_request_error(request)
    if error:
        has_recipe = request.recipe == AUTO or request.recipe in release.settings
        return _refused(request, hardware, error, broken, () if has_recipe else ("recipe",))
    chosen: dict[str, Choice | None] = {}
    bad_names: dict[str, str] = {}
    for role in ROLES:
        try:
            chosen[role] = get_chosen(role, request, files)
        except FileChoiceError as error_of_user:
            bad_names[file_input(role)] = str(error_of_user)
    if bad_names:
        return _refused(request, hardware, "\n".join(bad_names.values()), broken, bad_names)
    encoder_refusals: list[Refusal] = []
    named_encoder = chosen[ROLE_TEXT_ENCODER]
    problem = find_encoder_refusal(named_encoder, request, hardware, explicit=True) if named_encoder else ""
    if named_encoder and problem:
        cure = "Set text_encoder_file to 'auto', or name another file."
        error = f"{named_encoder.name} cannot be used here: {problem}. {cure}"
        return _refused(request, hardware, error, broken, (file_input(ROLE_TEXT_ENCODER),))
    text_encoder = named_encoder or best_text_encoder(request, hardware, files, encoder_refusals)
    encoder_bytes = encoder_bytes_on(text_encoder, encoder_device(request, hardware)) if text_encoder else 0
    candidates, spoiled, refusals = build_candidates(
        request, hardware, files, chosen[ROLE_DIFFUSION_MODEL], chosen[ROLE_LORA], encoder_bytes
    )
    if not candidates:
        # A file of another role, damaged or not, has nothing to do with it.
        models = [r for r in broken if r.name.startswith(f"models/{FOLDERS[ROLE_DIFFUSION_MODEL]}/")]
        error = _nothing_usable(request, models + refusals)
        return _refused(request, hardware, error, broken + refusals, _to_reset(request))
    refusals = broken + refusals + encoder_refusals
    if text_encoder is None:
        return _refused(request, hardware, _nothing_usable(request, refusals), refusals, _to_reset(request))
    best = candidates[0]
    vae = chosen[ROLE_VAE] or next(c for c in _vaes_by_preference(files) if c.identity.vae_kind == release.vae_kind)
    others = candidates, spoiled
    return _assemble(request, hardware, release, best, text_encoder, vae, others, chosen, files, refusals)


def find_request_error(request: LoadRequest) -> str:
    """Why a request can never be carried out, whatever the machine and the files; "" if it can."""
    release = RELEASES[request.release]
    if request.recipe != AUTO and request.recipe not in release.settings:
        have = [f"'{recipe}'" for recipe in RECIPES if recipe in release.settings]
        names = f"one of {', '.join(have)}" if len(have) > 1 else have[0]
        return f"{release.name} has no recipe '{request.recipe}'. Choose 'auto' or {names}."
    if request.vram_limit_bytes < 0:
        return "The VRAM limit is negative. Set vram_limit_gib to 0 for no limit."
    return ""


def _vaes_by_preference(files: Sequence[FoundFile]) -> list[Choice]:
    return sorted(choices_for(ROLE_VAE, files), key=lambda c: (not c.on_disk, not c.is_known, c.place))


def _assemble(
    request: LoadRequest,
    hardware: Hardware,
    release: Release,
    best: Candidate,
    text_encoder: Choice,
    vae: Choice,
    others: tuple[Sequence[Candidate], Sequence[Candidate]],
    chosen: dict[str, Choice | None],
    files: Sequence[FoundFile],
    refusals: Sequence[Refusal],
) -> LoadPlan:
    usable = usable_vram_bytes(hardware, request.vram_limit_bytes)
    device = encoder_device(request, hardware)
    encoder_bytes = encoder_bytes_on(text_encoder, device)
    both_bytes = encoder_bytes + best.sample.resident_bytes
    decode = decode_stage(vae.weights, release.width, release.height, usable, hardware)
    stages = (
        encode_stage(text_encoder.weights, usable, hardware, device),
        with_kept_models(best.sample, encoder_bytes, hardware, request.vram_limit_bytes),
        with_kept_models(decode, both_bytes, hardware, request.vram_limit_bytes),
    )
    ram_needed = ram_needed_bytes(best.weights, text_encoder.weights, best.sample, hardware)
    uses_ram = best.sample.streamed_bytes > 0 or hardware.one_memory
    rereads = uses_ram and ram_needed > hardware.ram_total_bytes
    parts = [(ROLE_DIFFUSION_MODEL, best.diffusion_model), (ROLE_TEXT_ENCODER, text_encoder), (ROLE_VAE, vae)]
    if best.lora:
        parts.append((ROLE_LORA, best.lora))
    planned = tuple(
        _planned_file(role, choice, file_reason(role, choice, best, hardware, explicit=chosen[role] is not None))
        for role, choice in parts
    )
    needed, is_limited = best.sample.needed_bytes, request.vram_limit_bytes > 0
    warnings = [
        *best.defects,
        *find_machine_warnings(hardware, release, best.recipe),
        *(w for file in planned if not file.on_disk for w in warn_of_misplaced(file, files)),
        *warn_of_broken(release, planned, files),
        *([warn_of_rereading(ram_needed, hardware, best)] if rereads else advise_fast_disk(best.sample, hardware)),
        *([warn_of_little_vram(usable, needed, is_limited=is_limited)] if needed > usable else []),
        *find_plan_warnings(request, release, best, text_encoder, vae, *others, files),
    ]
    return LoadPlan(
        request=request,
        hardware=hardware,
        error="",
        release=release.name,
        recipe=best.recipe,
        recipe_reason=recipe_reason(request, best),
        files=planned,
        settings=replace(release.settings[best.recipe], lora_strength=LORA_STRENGTH if best.lora else 0.0),
        stages=stages,
        modulation_table=best.modulation_table,
        modulation_reason=modulation_reason(request, best, hardware),
        text_encoder_device=device,
        ram_needed_bytes=ram_needed,
        rereads_from_disk=rereads,
        width=release.width,
        height=release.height,
        warnings=tuple(warnings),
        refusals=tuple(refusals),
        weight_dtype=best.weight_dtype,
    )


def _planned_file(role: str, choice: Choice, reason: str) -> PlannedFile:
    row = choice.row
    return PlannedFile(
        role=role,
        name=choice.name,
        folder=FOLDERS[role],
        listed_name=choice.found.listed_name if choice.found else "",
        catalog_name=row.name if row else "",
        weight_format=choice.identity.weight_format,
        size_bytes=choice.size_bytes,
        size_is_exact=choice.on_disk or (row is not None and row.size_is_exact),
        on_disk=choice.on_disk,
        reason=reason,
        url=row.url if row else "",
        licence=(row.licence_note or row.licence) if row else "",
    )


def _nothing_usable(request: LoadRequest, refusals: Sequence[Refusal]) -> str:
    reasons = "; ".join(f"{r.name}: {r.reason}" for r in refusals)
    reasons = reasons or f"neither on disk nor among the files this node can fetch is such a {request.release} file"
    wanted = [
        f"{title} '{value}'"
        for title, value in (("recipe", request.recipe), ("precision", request.precision))
        if value != AUTO
    ]
    what = f" with {' and '.join(wanted)}" if wanted else ""
    to_reset = _to_reset(request)
    cure = f"Set {' and '.join(to_reset)} to 'auto'" if to_reset else "Use a machine with more memory"
    other = "" if any(name.endswith("_file") for name in to_reset) else ", or name a file in diffusion_model_file"
    return f"No {request.release} model can be used{what}: {reasons}. {cure}{other}."


def _to_reset(request: LoadRequest) -> list[str]:
    """The inputs that leave too little to choose from."""
    wanted = [name for name in ("recipe", "precision") if getattr(request, name) != AUTO]
    return wanted + [file_input(role) for role in (ROLE_DIFFUSION_MODEL, ROLE_LORA) if request.names_file(role)]


def _refused(
    request: LoadRequest,
    hardware: Hardware,
    error: str,
    refusals: Sequence[Refusal],
    to_reset: Iterable[str] = (),
) -> LoadPlan:
    """A plan that cannot be carried out; setting the inputs `to_reset` to auto is what may help."""
    return LoadPlan(
        request=request,
        hardware=hardware,
        error=error,
        release=request.release,
        recipe="",
        recipe_reason="",
        files=(),
        settings=None,
        stages=(),
        modulation_table=False,
        modulation_reason="",
        text_encoder_device="",
        ram_needed_bytes=HOST_RAM_BYTES,
        rereads_from_disk=False,
        width=RELEASES[request.release].width,
        height=RELEASES[request.release].height,
        warnings=tuple(find_machine_warnings(hardware, RELEASES[request.release])),
        refusals=tuple(refusals),
        error_changes=tuple((name, AUTO) for name in to_reset),
    )
