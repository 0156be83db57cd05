"""Changing one choice reloads only what it changes; nothing is reloaded when nothing changed."""

from __future__ import annotations

import copy
import time
from typing import Any

from comfyui_server import ComfyServer
from model_loads import loads_in, write_useless_lora
from stock_graphs import stock_template, with_loader
from workflow_graphs import Graph, nodes_of, one_step


def with_seed(graph: Graph, seed: int) -> Graph:
    """A graph whose samplers have another seed, so that its result is not cached."""
    made = copy.deepcopy(graph)
    for sampler in nodes_of(made, "KSampler"):
        made[sampler]["inputs"]["seed"] = seed
    return made


def test_only_what_changed_is_loaded_again(comfy_server: ComfyServer, object_info: dict[str, Any]) -> None:
    stock = one_step(stock_template(object_info, "Lightning 8 steps", side=64))

    def graph(recipe: str, seed: int) -> dict[str, Any]:
        return with_seed(one_step(with_loader(stock, recipe=recipe)), seed)

    loads_in(comfy_server, stock)  # another workflow: whatever earlier tests left is let go
    assert loads_in(comfy_server, graph("base", 1)) == {"diffusion model": 1, "text encoder": 1}
    assert loads_in(comfy_server, graph("base", 2)) == {"diffusion model": 0, "text encoder": 0}
    assert loads_in(comfy_server, graph("Lightning 8 steps", 3)) == {"diffusion model": 0, "text encoder": 0}
    assert loads_in(comfy_server, graph("distilled", 4)) == {"diffusion model": 1, "text encoder": 0}


def test_the_models_are_let_go_by_another_workflow_and_by_the_unload_button(
    comfy_server: ComfyServer, object_info: dict[str, Any]
) -> None:
    stock = one_step(stock_template(object_info, "Lightning 8 steps", side=64))
    graph = one_step(with_loader(stock, recipe="base"))
    loads_in(comfy_server, graph)
    loads_in(comfy_server, stock)
    assert loads_in(comfy_server, graph) == {"diffusion model": 1, "text encoder": 1}
    status, _ = comfy_server.request("/free", {"unload_models": True, "free_memory": True})
    assert status == 200
    deadline = time.monotonic() + 60
    while True:  # the worker takes the request when it wakes up; until then a run still finds everything in place
        loads = loads_in(comfy_server, graph)
        if loads == {"diffusion model": 1, "text encoder": 1}:
            break
        assert time.monotonic() < deadline, loads


def wait_until_idle(server: ComfyServer) -> None:
    deadline = time.monotonic() + 120
    while server.get_json("/prompt")["exec_info"]["queue_remaining"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_models_are_let_go_when_another_workflow_was_queued_behind(
    comfy_server: ComfyServer, object_info: dict[str, Any]
) -> None:
    """Their node is still to run when the other workflow is queued."""
    stock = one_step(stock_template(object_info, "Lightning 8 steps", side=64))
    graph = one_step(with_loader(stock, recipe="base"))
    loads_in(comfy_server, stock)
    for prompt in (graph, with_seed(stock, 77)):
        status, _ = comfy_server.request("/prompt", {"prompt": prompt})
        assert status == 200
    wait_until_idle(comfy_server)
    time.sleep(1)
    assert loads_in(comfy_server, graph) == {"diffusion model": 1, "text encoder": 1}


def test_a_refused_prompt_lets_nothing_go(comfy_server: ComfyServer, object_info: dict[str, Any]) -> None:
    graph = one_step(with_loader(stock_template(object_info, "base", side=64), recipe="base"))
    loads_in(comfy_server, graph)
    status, _ = comfy_server.request("/prompt", {"prompt": {"1": {"class_type": "NoSuchNode", "inputs": {}}}})
    assert status == 400
    time.sleep(1)
    again = one_step(with_loader(stock_template(object_info, "base", side=64), recipe="base", modulation="on"))
    assert loads_in(comfy_server, again)["text encoder"] == 0


def test_what_was_loaded_before_a_failure_is_not_loaded_again(
    comfy_server: ComfyServer, object_info: dict[str, Any]
) -> None:
    stock = stock_template(object_info, "base", side=64)
    loads_in(comfy_server, one_step(stock))
    lora = comfy_server.base / "models" / "loras" / "of_nothing.safetensors"
    write_useless_lora(lora)
    try:
        failing = one_step(with_loader(stock, recipe="base", lora_file=lora.name))
        assert comfy_server.run(failing).status == "error"
        loads = loads_in(comfy_server, one_step(with_loader(stock, recipe="base")))
        assert loads["diffusion model"] == 0
    finally:
        lora.unlink()
