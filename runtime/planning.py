"""From the node's inputs to a LoadPlan for this machine and these files."""

from __future__ import annotations

from typing import Any

from ..planner.hardware import GIB
from ..planner.load_plan import LoadPlan
from ..planner.plan import plan
from ..planner.releases import QWEN_IMAGE
from ..planner.request import AUTO, LoadRequest
from .measure import measure_hardware
from .model_files import file_stamp, find_model_files

DEFAULT_INPUTS: dict[str, Any] = {
    "model": QWEN_IMAGE,
    "recipe": AUTO,
    "precision": AUTO,
    "download_missing": False,
    "diffusion_model_file": AUTO,
    "text_encoder_file": AUTO,
    "vae_file": AUTO,
    "lora_file": AUTO,
    "vram_limit_gib": 0.0,
    "text_encoder_device": AUTO,
    "modulation": AUTO,
}


def request_from_inputs(inputs: dict[str, Any]) -> LoadRequest:
    """A LoadRequest from the node's inputs by their names; what is missing or not known yet (None) is the default."""
    values = {**DEFAULT_INPUTS, **{name: value for name, value in inputs.items() if value is not None}}
    vram_limit_bytes = int(values.pop("vram_limit_gib") * GIB)
    return LoadRequest(release=values.pop("model"), vram_limit_bytes=vram_limit_bytes, **values)


def plan_for(request: LoadRequest) -> LoadPlan:
    """The plan for a request on the machine and with the files as they are now."""
    return plan(request, measure_hardware(), find_model_files())


def plan_fingerprint(load_plan: LoadPlan) -> str:
    """What ComfyUI's cache compares: the chosen files with their stamps, and the settings; never free memory."""
    parts = [load_plan.release, load_plan.recipe, str(load_plan.modulation_table), load_plan.error]
    for file in load_plan.files:
        stamp = file_stamp(file.folder, file.listed_name) if file.on_disk else "missing"
        parts.append(f"{file.role}={file.folder}/{file.listed_name or file.name}@{stamp}")
    return "|".join(parts)
