"""Graphs for the server: editor-format workflows turned into API format, and small changes to such graphs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from comfy_cli.workflow_to_api import convert_ui_to_api

Graph = dict[str, dict[str, Any]]


def convert(workflow: Path, object_info: dict[str, Any]) -> Graph:
    """The API graph of an editor-format workflow file, by comfy-cli's converter."""
    graph: Graph = convert_ui_to_api(json.loads(workflow.read_text(encoding="utf-8")), object_info)
    return graph


def nodes_of(graph: Graph, class_type: str) -> list[str]:
    """Ids of the nodes of one type."""
    return [node for node, entry in graph.items() if entry["class_type"] == class_type]


def inputs_of(graph: Graph, class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a type. Raises ValueError when there is not exactly one."""
    (found,) = nodes_of(graph, class_type)
    inputs: dict[str, Any] = graph[found]["inputs"]
    return inputs


def reduced(graph: Graph, side: int = 128) -> Graph:
    """The same graph with every empty latent `side` pixels wide and high."""
    smaller = copy.deepcopy(graph)
    for node in nodes_of(smaller, "EmptySD3LatentImage"):
        smaller[node]["inputs"].update(width=side, height=side)
    return smaller


def one_step(graph: Graph) -> Graph:
    """The same graph with one step per sampler, where not the image but what leads to it is looked at."""
    shorter = copy.deepcopy(graph)
    for node in nodes_of(shorter, "KSampler"):
        shorter[node]["inputs"]["steps"] = 1
    return shorter


def without_unused(graph: Graph, output_types: tuple[str, ...] = ("SaveImage", "PreviewAny")) -> Graph:
    """The nodes that some output node needs."""
    wanted = [node for kind in output_types for node in nodes_of(graph, kind)]
    kept: Graph = {}
    while wanted:
        node = wanted.pop()
        if node not in kept:
            kept[node] = graph[node]
            links = [value for value in graph[node]["inputs"].values() if isinstance(value, list)]
            wanted.extend(link[0] for link in links)
    return kept
