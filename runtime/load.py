"""Loads one part of a plan through ComfyUI's own functions: diffusion model, text encoder, VAE, LoRA."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import comfy.sd
import comfy.utils
import folder_paths
import torch

from ..planner.catalog_file import FOLDERS
from ..planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from . import modulation
from .log import log
from .model_files import full_path
from .own_folder import own_folder

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class LoadError(ValueError):
    """A file could not be loaded; the message names it, the reason and the next step."""


def load_diffusion_model(listed_name: str, *, modulation_table: bool) -> ModelPatcher:
    """The MODEL of a file, with its modulation layers replaced by a table if asked for and possible."""
    path = full_path(FOLDERS[ROLE_DIFFUSION_MODEL], listed_name)
    model = comfy.sd.load_diffusion_model(path)
    if not modulation_table:
        return model
    reason = modulation.find_unsupported(model)
    if reason:
        log.warning("The modulation table is not used for %s: %s", listed_name, reason)
        return model
    return modulation.apply_modulation_table(model, path, own_folder("modulation"))


def load_text_encoder(listed_name: str, *, on_cpu: bool) -> comfy.sd.CLIP:
    """The CLIP of a file; `on_cpu` keeps and runs it on the processor."""
    path = full_path(FOLDERS[ROLE_TEXT_ENCODER], listed_name)
    options = {}
    if on_cpu:
        options["load_device"] = options["offload_device"] = torch.device("cpu")
    return comfy.sd.load_clip(
        ckpt_paths=[path],
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        clip_type=comfy.sd.CLIPType.QWEN_IMAGE,
        model_options=options,
    )


def load_vae(listed_name: str) -> comfy.sd.VAE:
    """The VAE of a file. Raises what ComfyUI raises for a VAE it does not know."""
    path = full_path(FOLDERS[ROLE_VAE], listed_name)
    weights, metadata = comfy.utils.load_torch_file(path, return_metadata=True)
    vae = comfy.sd.VAE(sd=weights, metadata=metadata)
    vae.throw_exception_if_invalid()
    if hasattr(comfy.sd, "load_vae_patcher"):
        vae.patcher.cached_patcher_init = (comfy.sd.load_vae_patcher, (path, metadata, None))
    return vae


def apply_lora(model: ModelPatcher, listed_name: str, strength: float) -> ModelPatcher:
    """A clone of the model with the LoRA on it. Raises LoadError if none of its keys belong to the model."""
    path = full_path(FOLDERS[ROLE_LORA], listed_name)
    weights, metadata = comfy.utils.load_torch_file(path, safe_load=True, return_metadata=True)
    extra = {}
    if "lora_metadata" in inspect.signature(comfy.sd.load_lora_for_models).parameters:
        extra["lora_metadata"] = metadata
    before = len(model.patches)
    patched, _ = comfy.sd.load_lora_for_models(model, None, weights, strength, 0, **extra)
    added = len(patched.patches) - before
    if added == 0:
        raise LoadError(
            f"None of the {len(weights)} tensors of {listed_name} (models/loras) belong to this model, so it would do "
            f"nothing. Set lora_file back to 'auto', or choose a LoRA made for this release of Qwen-Image."
        )
    log.info("%s: %d layers patched", listed_name, added)
    return patched
