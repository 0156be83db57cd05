"""How long models live, under each way in which ComfyUI keeps results; told by its log and by counting them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from comfyui_fixtures import StartServer
from comfyui_server import ComfyServer
from model_loads import loads_in, write_useless_lora
from stock_graphs import DEFAULTS, LOADER

COUNTING_PACK = Path(__file__).with_name("counting_pack")
DISTILLED = "qwen_image_distill_full_fp8_e4m3fn.safetensors"
BASE = "qwen_image_fp8_e4m3fn.safetensors"
USELESS = "of_nothing.safetensors"
NO_MODEL = {
    "number": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
    "shown": {"class_type": "PreviewAny", "inputs": {"source": ["number", 0]}},
}


def loader(**inputs: Any) -> dict[str, Any]:
    """A workflow that only loads."""
    return {
        "loader": {"class_type": LOADER, "inputs": {**DEFAULTS, **inputs}},
        "shown": {"class_type": "PreviewAny", "inputs": {"source": ["loader", 7]}},
    }


def prepare(base: Path) -> None:
    shutil.copytree(COUNTING_PACK, base / "custom_nodes" / COUNTING_PACK.name)
    write_useless_lora(base / "models" / "loras" / USELESS)


def run(server: ComfyServer, graph: dict[str, Any], status: str = "success") -> tuple[int, int]:
    """How many diffusion models a run read, and how many are alive after it."""
    loads = loads_in(server, graph, status)["diffusion model"]
    return loads, server.get_json("/test/models-alive")


def test_with_too_little_ram_for_results_models_stay_for_their_workflow(start_server: StartServer) -> None:
    """ComfyUI drops this node's results then, and keeps those of nodes that have models alone."""
    server = start_server(args=("--cpu", "--cache-ram", "4000"), prepare=prepare)
    assert run(server, loader(recipe="base")) == (1, 1)
    assert run(server, {**loader(recipe="base"), **NO_MODEL})[0] == 0, "the workflow still has the node"
    assert run(server, loader(recipe="base", lora_file=USELESS), "error") == (0, 1)
    assert run(server, loader(recipe="base")) == (0, 1), "a bad LoRA costs nothing"
    assert run(server, loader(recipe="distilled")) == (1, 1)
    assert run(server, NO_MODEL) == (0, 0), "another workflow"


def test_models_that_failed_to_go_on_are_let_go_by_another_workflow_and_by_unloading(start_server: StartServer) -> None:
    server = start_server(args=("--cpu", "--cache-classic"), prepare=prepare)
    failing = loader(recipe="base", lora_file=USELESS)
    assert run(server, failing, "error") == (1, 1)
    assert run(server, NO_MODEL) == (0, 0)
    assert run(server, failing, "error") == (1, 1)
    server.request("/free", {"unload_models": True, "free_memory": True})
    assert run(server, {**NO_MODEL, "more": NO_MODEL["shown"]}) == (0, 0)


def test_of_results_that_are_kept_only_the_living_ones_hold_models(start_server: StartServer) -> None:
    server = start_server(args=("--cpu", "--cache-lru", "2"), prepare=prepare)
    first, other = loader(recipe="base"), loader(recipe="distilled")
    run(server, first)
    run(server, other)
    run(server, first)
    assert run(server, {**first, **NO_MODEL})[1] == 1, "the other one's result is gone, so is its model"


def test_with_no_results_kept_nothing_outlives_its_run(start_server: StartServer) -> None:
    server = start_server(args=("--cpu", "--cache-none"), prepare=prepare)
    assert run(server, loader(recipe="base")) == (1, 0)
    assert run(server, loader(recipe="base", lora_file=USELESS), "error")[1] == 0
    assert run(server, NO_MODEL) == (0, 0)


def test_a_file_that_is_named_through_a_link_is_loaded_again_when_it_changes(start_server: StartServer) -> None:
    server = start_server(prepare=prepare)
    models = server.base / "models" / "diffusion_models"

    def put(name: str) -> None:
        shutil.copyfile(models / name, models / "mine.part")
        os.replace(models / "mine.part", models / "mine.safetensors")

    graph = loader(recipe="base", diffusion_model_file=["name", 0])
    graph["name"] = {"class_type": "PrimitiveString", "inputs": {"value": "mine.safetensors"}}
    put(BASE)
    assert run(server, graph)[0] == 1
    assert run(server, graph)[0] == 0
    put(DISTILLED)
    assert run(server, graph)[0] == 1
