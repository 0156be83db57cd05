"""Turns a plan into a small graph of loader nodes, so that ComfyUI caches each part on its own.

Changing the recipe then reloads a LoRA, not the 9 GB text encoder; and what a new plan no longer needs is let go by
ComfyUI's own cache, as with its own loader nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_execution.graph_utils import GraphBuilder

from ..planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE, LoadPlan, PlannedFile
from .model_files import file_stamp

PART_NODE = "QIL_LoadPart"


@dataclass(frozen=True)
class Expansion:
    """Links to MODEL, CLIP and VAE inside `graph`, a graph in API form."""

    model: list[Any]
    clip: list[Any]
    vae: list[Any]
    graph: dict[str, Any]


def expand_plan(plan: LoadPlan, node_id: str) -> Expansion:
    """The loader graph of a plan whose files are all on disk and whose `settings` are set; `node_id` is the parent's.

    Shift and CFGNorm are set by ComfyUI's own nodes, which the official templates use for it.
    """
    if plan.settings is None:
        raise ValueError("a plan with an error cannot be carried out")
    # The builder's own prefix is process-wide state, which another node may have moved while a download was awaited.
    graph = GraphBuilder(prefix=f"{node_id}.qil.")

    def part(file: PlannedFile, **inputs: Any) -> Any:
        stamp = file_stamp(file.folder, file.listed_name)
        return graph.node(PART_NODE, role=file.role, listed_name=file.listed_name, stamp=stamp, **inputs).out(0)

    model = part(plan.get_file(ROLE_DIFFUSION_MODEL), modulation_table=plan.modulation_table)
    lora = plan.find_file(ROLE_LORA)
    if lora is not None:
        model = part(lora, model=model, strength=plan.settings.lora_strength or 1.0)
    model = graph.node("ModelSamplingAuraFlow", model=model, shift=plan.settings.shift).out(0)
    if plan.settings.cfg_norm:
        model = graph.node("CFGNorm", model=model, strength=plan.settings.cfg_norm).out(0)
    text_encoder = part(plan.get_file(ROLE_TEXT_ENCODER), on_cpu=plan.request.text_encoder_device == "cpu")
    vae = part(plan.get_file(ROLE_VAE))
    return Expansion(model, text_encoder, vae, graph.finalize())
