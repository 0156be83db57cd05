"""The graph of each run: the official template as it is, or with Load Qwen-Image, for a recipe, seed and prompt."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from stock_graphs import stock_template, with_loader
from workflow_graphs import Graph, nodes_of, without_unused

from .cells import FP8MIXED, LIGHTNING_4, LIGHTNING_8, NEW_PROMPT, NEW_SEED, SIDES, Cell
from .full_size_models import FILES_OF_RECIPE

LOADER_OF_FOLDER = {"diffusion_models": ("UNETLoader", "unet_name"), "loras": ("LoraLoaderModelOnly", "lora_name")}
FIRST_SEED = 42
SIDE_PIXELS = 1328  # the template's size


def graph_for(
    object_info: Mapping[str, Any],
    side: str,
    recipe: str,
    kind: str,
    cell: Cell,
    pixels: int = SIDE_PIXELS,
    number: int = 0,
) -> Graph:
    """The graph of one run, the `number`th of its kind; the same run of every side has the same seed and prompt."""
    graph = stock_graph(dict(object_info), recipe, pixels)
    modulation = SIDES[side].modulation
    if modulation is not None:
        graph = with_loader(
            graph,
            recipe=LIGHTNING_8 if recipe == FP8MIXED else recipe,
            precision="fp8_scaled" if recipe == FP8MIXED else "fp8_e4m3fn",
            modulation=modulation,
            vram_limit_gib=cell.vram_gib or 0.0,  # the card itself still reports its whole memory to the plan
        )
    for sampler in nodes_of(graph, "KSampler"):
        graph[sampler]["inputs"]["seed"] = FIRST_SEED + (kind == NEW_SEED) * (1 + number)
    for encoder in nodes_of(graph, "CLIPTextEncode"):
        text = graph[encoder]["inputs"]["text"]
        if text and kind == NEW_PROMPT:
            graph[encoder]["inputs"]["text"] = f"{text}, at night in the rain{', again' * number}"
    return graph


def stock_graph(object_info: dict[str, Any], recipe: str, pixels: int) -> Graph:
    """The template with a recipe's files; Lightning 4 steps and fp8mixed are its Lightning set-up with other files."""
    whole_prompt = {"prompt_characters": None} if pixels == SIDE_PIXELS else {}
    template = LIGHTNING_8 if recipe in (LIGHTNING_4, FP8MIXED) else recipe
    graph = stock_template(object_info, template, pixels, **whole_prompt)
    for file in FILES_OF_RECIPE[recipe]:
        folder, name = file.split("/")
        class_type, field = LOADER_OF_FOLDER[folder]
        for node in nodes_of(graph, class_type):
            graph[node]["inputs"][field] = name
    if recipe == LIGHTNING_4:
        for node in nodes_of(graph, "PrimitiveInt"):
            if graph[node]["inputs"]["value"] == 8:
                graph[node]["inputs"]["value"] = 4
    return graph


def latents_of(graph: Graph) -> Graph:
    """The same graph saving the sampler's latent instead of an image."""
    (sampler,) = nodes_of(graph, "KSampler")
    changed = copy.deepcopy(graph)
    changed["latent"] = {"class_type": "SaveLatent", "inputs": {"samples": [sampler, 0], "filename_prefix": "latent"}}
    return without_unused(changed, ("SaveLatent",))
