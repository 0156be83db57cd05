"""A workflow saved in the real editor comes back with the same values on the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from comfyui_server import ComfyServer
from stock_graphs import DEFAULTS, LOADER

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHANGED = {"recipe": "Lightning 8 steps", "download_missing": True, "vram_limit_gib": 6.5, "modulation": "off"}
ADD_NODE = """async ([type, values]) => {
    const node = window.LiteGraph.createNode(type);
    window.app.graph.add(node);
    for (const widget of node.widgets) if (widget.name in values) widget.value = values[widget.name];
    return window.app.graph.serialize();
}"""
RELOAD = """async ([workflow, type]) => {
    await window.app.loadGraphData(workflow);
    const node = window.app.graph.nodes.find((node) => node.type === type);
    return [node.widgets.map((widget) => [widget.name, widget.value]), window.app.graph.serialize()];
}"""


@pytest.fixture
def editor(page: Page, comfy_server: ComfyServer) -> Page:
    """The editor of the shared server, ready for graphs."""
    page.goto(comfy_server.url)
    page.wait_for_function(f"() => window.LiteGraph?.registered_node_types?.['{LOADER}'] && window.app?.graph")
    return page


def values_of(workflow: dict[str, Any]) -> list[Any]:
    (node,) = [node for node in workflow["nodes"] if node["type"] == LOADER]
    values: list[Any] = node["widgets_values"]
    return values


def test_a_saved_workflow_comes_back_with_its_values(editor: Page) -> None:
    saved = editor.evaluate(ADD_NODE, [LOADER, CHANGED])
    shown, saved_again = editor.evaluate(RELOAD, [saved, LOADER])
    expected = {**DEFAULTS, **CHANGED}
    assert {name: value for name, value in shown if name in expected} == expected
    assert values_of(saved_again) == values_of(saved) == list(expected.values())
