"""How long each node of a graph ran, from the messages that the server sends when one begins."""

from __future__ import annotations

from itertools import pairwise

from comfyui_client import RunResult
from workflow_graphs import Graph

EXECUTING = "executing"  # source: ComfyUI's execution.py; sent as a node that is not cached begins


def node_seconds(result: RunResult, graph: Graph) -> dict[str, float]:
    """Node type -> seconds, each from its node's begin to the next message of a begin or of the end.

    What a node leaves to the GPU without waiting for it counts for the node that waits.
    """
    began = [
        (moment, data.get("node"))
        for moment, (kind, data) in zip(result.times, result.messages, strict=True)
        if kind == EXECUTING
    ]
    if result.times:
        began.append((result.times[-1], None))
    seconds: dict[str, float] = {}
    for (moment, node), (end, _) in pairwise(began):
        if node in graph:
            name = graph[node]["class_type"]
            seconds[name] = seconds.get(name, 0.0) + end - moment
    return seconds
