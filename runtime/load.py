"""Carries a plan out: loads diffusion model, LoRA, text encoder and VAE through ComfyUI's own functions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy_extras.nodes_cfg import CFGNorm
from comfy_extras.nodes_model_advanced import ModelSamplingAuraFlow

from ..planner.load_plan import (
    ROLE_DIFFUSION_MODEL,
    ROLE_LORA,
    ROLE_TEXT_ENCODER,
    ROLE_VAE,
    STAGE_OF,
    LoadPlan,
    PlannedFile,
    SamplerSettings,
)
from ..planner.releases import RELEASES
from . import modulation
from .block_prefetch import add_block_prefetch
from .fast_disk import reads_again
from .file_stamp import file_stamp
from .held_parts import HeldParts
from .log import log
from .lora_in_ram import hold_lora
from .measured_run import measure_runs
from .model_files import full_path
from .own_folder import own_folder
from .page_cache import fetch
from .ram import available_ram
from .read_ahead import Part, ReadAhead, lead_for
from .read_order import MODULATION, Modulation, looked_at, need_not_stay, order_of_use
from .stay_in_vram import keep_while_encoding
from .switches import is_on
from .vram_order import keep_attention_first

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

MODULATION_FOLDER = "modulation"

held_parts = HeldParts()


class LoadError(ValueError):
    """A file could not be loaded; the message names it, the reason and the next step."""


@dataclass(frozen=True)
class LoadedParts:
    """What the graph gets: MODEL with LoRA and shift applied, CLIP and VAE."""

    model: ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE


def load_plan(plan: LoadPlan, node_id: str) -> LoadedParts:
    """Load every part of a plan whose files are all on disk and whose `settings` are set.

    Parts that the node `node_id` or another one holds already are used again. Raises LoadError, and what ComfyUI
    raises for a file that it cannot read.
    """
    if plan.settings is None:
        raise ValueError("a plan with an error cannot be carried out")
    on_cpu = plan.request.text_encoder_device == "cpu"
    model_file, lora_file = plan.get_file(ROLE_DIFFUSION_MODEL), plan.find_file(ROLE_LORA)
    text_file, vae_file = plan.get_file(ROLE_TEXT_ENCODER), plan.get_file(ROLE_VAE)
    model_key = (*_stamp(model_file), plan.modulation_table, plan.weight_dtype)
    lora_key = (model_key, _stamp(lora_file), plan.settings.lora_strength) if lora_file else None
    text_key, vae_key = (*_stamp(text_file), on_cpu), _stamp(vae_file)
    files = {model_key: model_file, lora_key: lora_file, text_key: text_file, vae_key: vae_file}
    files = {key: file for key, file in files.items() if key and file}
    held_parts.keep_for(node_id, files)
    try:
        missing = [file for key, file in files.items() if not held_parts.holds(key)]
        paths = {file.role: full_path(file.folder, file.listed_name) for file in missing}
        with _read_ahead(paths, plan) as ahead:
            model = held_parts.get_or_load(model_key, lambda: _load_diffusion_model(model_file, plan, ahead))
            ahead.watch(ROLE_DIFFUSION_MODEL, getattr(model.model.diffusion_model, "transformer_blocks", ()))
            if lora_file and lora_key:
                base, strength = model, plan.settings.lora_strength
                model = held_parts.get_or_load(lora_key, lambda: _apply_lora(base, lora_file, strength))
                ahead.passed(ROLE_LORA)
            clip = held_parts.get_or_load(text_key, lambda: _load_text_encoder(text_file, on_cpu))
            ahead.watch(ROLE_TEXT_ENCODER, _text_layers(clip))
            vae = held_parts.get_or_load(vae_key, lambda: _load_vae(vae_file))
        model = _apply_settings(model, plan.settings)
        measure_runs(model, node_id, plan.request)
        held_parts.let_go_with(model, node_id)
    except BaseException:
        held_parts.forget(node_id)
        raise
    return LoadedParts(model, clip, vae)


def _read_ahead(files: Mapping[str, str], plan: LoadPlan) -> ReadAhead:
    """Reads `files`, role -> path, before they are needed; without dynamic VRAM the host loads them whole at once."""
    parts: list[Part] = []
    gives_up: set[str] = set()
    if getattr(sys.modules.get("comfy.memory_management"), "aimdo_enabled", False) and is_on("read-ahead"):
        try:
            for path in files.values():
                fetch(path, looked_at(path))
            modulation_order = order_of_modulation(files.get(ROLE_DIFFUSION_MODEL, ""), plan.modulation_table)
            parts = order_of_use(files, modulation_order, sees_images=RELEASES[plan.release].sees_images)
            gives_up = need_not_stay(parts, available_ram(), _read_again(files, plan))
        except (OSError, ValueError) as error:
            log.debug("Nothing is read ahead: %s", error)  # the host says what is wrong with the file when it loads it
    return ReadAhead(parts, lambda: lead_for(available_ram()), gives_up)


def _read_again(files: Mapping[str, str], plan: LoadPlan) -> dict[str, int]:
    """Of the roles whose files the host reads again for what is in VRAM, the bytes that it keeps copies of."""
    streamed = {stage.stage: stage.streamed_bytes for stage in plan.stages}
    return {role: streamed[stage] for role, stage in STAGE_OF.items() if role in files and reads_again(files[role])}


def order_of_modulation(path: str, modulation_table: bool) -> Modulation:
    """When a run with the diffusion model `path` will read its modulation layers."""
    if not modulation_table:
        return Modulation.WITH_BLOCKS
    return Modulation.NEVER if modulation.has_rows(path, own_folder(MODULATION_FOLDER)) else Modulation.BEFORE_BLOCKS


def _stamp(file: PlannedFile) -> tuple[str, str, tuple[int, int]]:
    """Role, listed name and stamp of a file. Raises LoadError if it is not the one that was planned any more."""
    stamp = size, _ = file_stamp(full_path(file.folder, file.listed_name))
    if size != file.size_bytes:
        where = f"models/{file.folder}/{file.listed_name}"
        raise LoadError(f"{where} was replaced while it was about to be loaded. Run again.")
    return file.role, file.listed_name, stamp


def _load_diffusion_model(file: PlannedFile, plan: LoadPlan, ahead: ReadAhead) -> ModelPatcher:
    path = full_path(file.folder, file.listed_name)
    options = {"dtype": getattr(torch, plan.weight_dtype)} if plan.weight_dtype else {}
    model = comfy.sd.load_diffusion_model(path, model_options=options)
    reason = modulation.find_unsupported(model) if plan.modulation_table else None
    if reason:
        log.warning("The modulation table is not used for %s: %s", file.listed_name, reason)
    elif plan.modulation_table:
        rows_folder, tell = own_folder(MODULATION_FOLDER), partial(ahead.reached, MODULATION)
        model = modulation.apply_modulation_table(model, path, rows_folder, before_reading=tell)
    if is_on("block-prefetch"):
        add_block_prefetch(model)
    if is_on("attention-first"):
        keep_attention_first(model)
    return model


def _load_text_encoder(file: PlannedFile, on_cpu: bool) -> comfy.sd.CLIP:
    options: dict[str, Any] = {}
    if on_cpu:
        options["load_device"] = options["offload_device"] = torch.device("cpu")
    clip = comfy.sd.load_clip(
        ckpt_paths=[full_path(file.folder, file.listed_name)],
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        clip_type=comfy.sd.CLIPType.QWEN_IMAGE,
        model_options=options,
    )
    if is_on("stay-in-vram"):
        keep_while_encoding(clip)
    return clip


def _text_layers(clip: comfy.sd.CLIP) -> Iterable[torch.nn.Module]:
    """The language model's layers in order."""
    named = clip.cond_stage_model.named_modules()
    return next((module.children() for name, module in named if name.endswith(".model.layers")), ())


def _load_vae(file: PlannedFile) -> comfy.sd.VAE:
    path = full_path(file.folder, file.listed_name)
    weights, metadata = comfy.utils.load_torch_file(path, return_metadata=True)
    vae = comfy.sd.VAE(sd=weights, metadata=metadata)
    vae.throw_exception_if_invalid()
    if hasattr(comfy.sd, "load_vae_patcher"):
        vae.patcher.cached_patcher_init = (comfy.sd.load_vae_patcher, (path, metadata, None))
    return vae


def _apply_lora(model: ModelPatcher, file: PlannedFile, strength: float) -> ModelPatcher:
    """A clone of the model with the LoRA on it. Raises LoadError if none of its tensors belong to the model."""
    path = full_path(file.folder, file.listed_name)
    weights, metadata = comfy.utils.load_torch_file(path, safe_load=True, return_metadata=True)
    if is_on("lora-in-ram"):
        weights = hold_lora(weights, model)
    extra = {}
    if "lora_metadata" in inspect.signature(comfy.sd.load_lora_for_models).parameters:
        extra["lora_metadata"] = metadata
    patched, _ = comfy.sd.load_lora_for_models(model, None, weights, strength, 0, **extra)
    added = len(patched.patches) - len(model.patches)
    if added == 0:
        raise LoadError(
            f"None of the {len(weights)} tensors of models/{file.folder}/{file.listed_name} belong to this model, so "
            f"it would do nothing. Set lora_file back to 'auto', or choose a LoRA made for this release of Qwen-Image."
        )
    log.info("%s: %d layers patched", file.listed_name, added)
    return patched


def _apply_settings(model: ModelPatcher, settings: SamplerSettings) -> ModelPatcher:
    """Shift, and CFGNorm where the release wants it, by the nodes that the official templates use for it."""
    (model,) = ModelSamplingAuraFlow().patch_aura(model, settings.shift)
    if settings.cfg_norm:
        model = CFGNorm.execute(model, settings.cfg_norm).result[0]
    return model
