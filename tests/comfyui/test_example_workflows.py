"""Every example workflow, as it is shipped: it converts, keeps its values, and gives its images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from comfyui_host import PACK_FOLDER, REPOSITORY
from comfyui_server import ComfyServer
from stock_graphs import LOADER
from workflow_graphs import convert, nodes_of, reduced

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXAMPLES = sorted((REPOSITORY / "example_workflows").glob("*.json"))


def by_name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("workflow", EXAMPLES, ids=by_name)
def test_it_runs_and_saves_its_images(comfy_server: ComfyServer, object_info: dict[str, Any], workflow: Path) -> None:
    graph = reduced(convert(workflow, object_info), side=64)
    result = comfy_server.run(graph, timeout=500)
    assert result.status == "success", result.error or result.node_errors
    assert len(comfy_server.images(result)) == len(nodes_of(graph, "SaveImage"))


@pytest.mark.parametrize("workflow", EXAMPLES, ids=by_name)
def test_its_loaders_run_with_the_values_that_it_shows(object_info: dict[str, Any], workflow: Path) -> None:
    saved = json.loads(workflow.read_text(encoding="utf-8"))
    graph = convert(workflow, object_info)
    shown = {str(node["id"]): node["widgets_values"] for node in saved["nodes"] if node["type"] == LOADER}
    assert shown, "an example without the node"
    widgets = [name for name, spec in object_info[LOADER]["input"]["required"].items() if spec[0] != "*"]
    widgets += list(object_info[LOADER]["input"].get("optional", {}))
    for node, values in shown.items():
        assert [graph[node]["inputs"][name] for name in widgets] == values[: len(widgets)]


def test_the_template_browser_lists_them_under_the_pack(comfy_server: ComfyServer) -> None:
    listed = comfy_server.get_json("/workflow_templates")[PACK_FOLDER]
    assert sorted(listed) == [path.stem for path in EXAMPLES]
    assert listed


@pytest.mark.parametrize("workflow", EXAMPLES, ids=by_name)
def test_its_link_opens_it_in_the_editor(page: Page, comfy_server: ComfyServer, workflow: Path) -> None:
    """The link that the demo opens; the editor refuses names with spaces in it."""
    page.goto(f"{comfy_server.url}/?template={workflow.stem}&source={PACK_FOLDER}")
    page.wait_for_function("(type) => window.app?.graph?.nodes?.some((node) => node.type === type)", arg=LOADER)
