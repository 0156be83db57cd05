"""The official Qwen-Image template as a stock graph, and the same graph with Load Qwen-Image for its loaders."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from comfyui_workflow_templates import get_asset_path
from workflow_graphs import Graph, convert, inputs_of, nodes_of, reduced, without_unused

LOADER = "QIL_LoadQwenImage"
BASE = "qwen_image_fp8_e4m3fn.safetensors"
DISTILLED = "qwen_image_distill_full_fp8_e4m3fn.safetensors"
RECIPES = ("base", "distilled", "Lightning 8 steps")
DEFAULTS: dict[str, Any] = {
    "model": "Qwen-Image",
    "recipe": "auto",
    "precision": "auto",
    "download_missing": False,
    "diffusion_model_file": "auto",
    "text_encoder_file": "auto",
    "vae_file": "auto",
    "lora_file": "auto",
    "vram_limit_gib": 0.0,
    "text_encoder_device": "auto",
    "modulation": "auto",
}


def stock_template(
    object_info: dict[str, Any], recipe: str, side: int = 128, prompt_characters: int | None = 40
) -> Graph:
    """The installed template in API format, set to one of RECIPES as its own notes say.

    Only its size is reduced, for the CPU: to `side` pixels square, and to the first words of its prompt (None: all).
    """
    graph = reduced(convert(Path(get_asset_path("image_qwen_image", "image_qwen_image.json")), object_info), side)
    inputs_of(graph, "PrimitiveBoolean")["value"] = recipe == "Lightning 8 steps"  # the template's own switch
    if recipe == "distilled":
        inputs_of(graph, "UNETLoader")["unet_name"] = DISTILLED
        for kind, of_base, of_distilled in (("PrimitiveInt", 20, 15), ("PrimitiveFloat", 4, 1)):
            for node in nodes_of(graph, kind):
                if graph[node]["inputs"]["value"] == of_base:
                    graph[node]["inputs"]["value"] = of_distilled
    for encoder in nodes_of(graph, "CLIPTextEncode"):
        graph[encoder]["inputs"]["text"] = graph[encoder]["inputs"]["text"][:prompt_characters]
    return graph


def with_loader(stock: Graph, **values: Any) -> Graph:
    """`stock` with its loaders, LoRA, shift and settings replaced by one Load Qwen-Image with `values` set."""
    graph = copy.deepcopy(stock)
    graph["loader"] = {"class_type": LOADER, "inputs": {**DEFAULTS, **values}}
    for sampler in nodes_of(graph, "KSampler"):
        settings = {"model": 0, "steps": 3, "cfg": 4, "sampler_name": 5, "scheduler": 6}
        graph[sampler]["inputs"].update({name: ["loader", slot] for name, slot in settings.items()})
    for encoder in nodes_of(graph, "CLIPTextEncode"):
        graph[encoder]["inputs"]["clip"] = ["loader", 1]
    for decoder in nodes_of(graph, "VAEDecode"):
        graph[decoder]["inputs"]["vae"] = ["loader", 2]
    return without_unused(graph)
