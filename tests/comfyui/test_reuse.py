"""Changing one choice reloads only what it changes; nothing is reloaded when nothing changed."""

from __future__ import annotations

import re
import time
from typing import Any

from comfyui_server import ComfyServer
from stock_graphs import stock_template, with_loader
from workflow_graphs import one_step

# What ComfyUI logs when it reads a diffusion model and a text encoder from their files.
LOADS = {"diffusion model": r"model weight dtype ", "text encoder": r"CLIP/text encoder model load device"}


def loads_in(server: ComfyServer, graph: dict[str, Any]) -> dict[str, int]:
    """How often each kind of model was read while a prompt ran, from ComfyUI's own log."""
    start = len(server.log_text())
    result = server.run(graph)
    assert result.status == "success", result.error
    log = server.log_text()[start:]
    return {kind: len(re.findall(pattern, log, re.MULTILINE)) for kind, pattern in LOADS.items()}


def test_only_what_changed_is_loaded_again(comfy_server: ComfyServer, object_info: dict[str, Any]) -> None:
    stock = one_step(stock_template(object_info, "Lightning 8 steps", side=64))

    def graph(recipe: str, seed: int) -> dict[str, Any]:
        made = one_step(with_loader(stock, recipe=recipe))
        for node in made.values():
            if node["class_type"] == "KSampler":
                node["inputs"]["seed"] = seed
        return made

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
