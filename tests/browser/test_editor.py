"""The panel stays with its node through everything people do in the editor, and never changes what is saved."""

from __future__ import annotations

import copy

import pytest
from editor import NODE, Editor
from playwright.sync_api import expect

VALUES = ["Qwen-Image", "distilled", "auto", False, "auto", "auto", "auto", "auto", 0, "auto", "auto"]

# How many steps could be undone, after the editor has looked for changes.
UNDO_STEPS = """app => {
    const { changeTracker } = app.extensionManager.workflow.activeWorkflow
    changeTracker.captureCanvasState()
    return changeTracker.undoQueue.length
}"""


def test_a_saved_workflow_holds_the_inputs_and_nothing_of_the_panel(editor: Editor) -> None:
    node = editor.add_node()
    editor.set_widget(node, "recipe", "distilled")
    saved = editor.saved()["nodes"][0]
    assert saved["widgets_values"] == VALUES
    sent = editor.app("async app => (await app.graphToPrompt()).output")
    assert list(sent[str(node)]["inputs"].values()) == VALUES


def test_opening_a_workflow_changes_nothing_in_it(editor: Editor) -> None:
    editor.add_node()
    editor.add_node(500, 40)
    for node in editor.saved()["nodes"]:
        editor.node(node["id"], "node => node.setSize([420, 700])")
    before = editor.saved()
    editor.load(copy.deepcopy(before))
    steps = editor.app(UNDO_STEPS)
    editor.wait_for_plans()
    editor.wait_for_frames()
    after = editor.saved()
    same = ("type", "pos", "size", "widgets_values", "properties", "flags", "mode")
    assert [[node.get(key) for key in same] for node in after["nodes"]] == [
        [node.get(key) for key in same] for node in before["nodes"]
    ]
    assert editor.app(UNDO_STEPS) == steps


def test_a_workflow_made_without_the_panel_opens_with_its_values(editor: Editor) -> None:
    bare = {"id": 7, "type": NODE, "pos": [0, 0], "size": [300, 200], "widgets_values": VALUES, "flags": {}, "mode": 0}
    editor.load({"version": 0.4, "nodes": [bare], "links": [], "last_node_id": 7, "last_link_id": 0})
    editor.wait_for_plans()
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")


def test_two_nodes_have_two_plans(editor: Editor) -> None:
    first, second = editor.add_node(), editor.add_node(450, 0)
    editor.set_widget(second, "recipe", "distilled")
    expect(editor.panel(second).locator(".qil-recipe")).to_have_text("distilled")
    expect(editor.panel(first).locator(".qil-recipe")).not_to_have_text("distilled")


def test_a_pasted_node_shows_the_plan_of_its_own_inputs(editor: Editor) -> None:
    first = editor.add_node()
    editor.set_widget(first, "recipe", "distilled")
    editor.app(
        "(app, id) => { app.canvas.select(app.canvas.graph.getNodeById(id)); app.canvas.copyToClipboard() }", first
    )
    editor.app("app => { app.canvas.graph_mouse = [480, 0]; app.canvas.pasteFromClipboard() }")
    editor.wait_for_plans()
    second = next(node for node in editor.nodes() if node != first)
    expect(editor.panel(second).locator(".qil-recipe")).to_have_text("distilled")
    editor.set_widget(second, "recipe", "base")
    expect(editor.panel(second).locator(".qil-recipe")).to_have_text("base")
    expect(editor.panel(first).locator(".qil-recipe")).to_have_text("distilled")


def test_undo_and_redo_bring_the_plan_back(editor: Editor) -> None:
    node = editor.add_node()
    editor.set_widget(node, "recipe", "distilled")
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")
    editor.set_widget(node, "recipe", "base")
    expect(editor.panel().locator(".qil-recipe")).to_have_text("base")
    editor.page.keyboard.press("Control+z")
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")
    editor.page.keyboard.press("Control+y")
    expect(editor.panel().locator(".qil-recipe")).to_have_text("base")


def test_a_collapsed_node_hides_the_panel_and_shows_it_again(editor: Editor) -> None:
    node = editor.add_node()
    editor.node(node, "node => node.collapse()")
    expect(editor.panel()).to_have_count(0)
    editor.node(node, "node => node.collapse()")
    expect(editor.panel().locator(".qil-release")).to_have_text("Qwen-Image")


@pytest.mark.parametrize("width", [360, 720])
def test_a_resized_node_keeps_its_panel_inside(editor: Editor, width: int) -> None:
    node = editor.add_node()
    editor.node(node, "(node, width) => node.setSize([width, 800])", width)
    editor.app("app => app.canvas.setDirty(true, true)")
    panel = editor.panel().locator(".qil-panel")
    expect(panel).to_have_js_property("scrollLeft", 0)
    editor.page.wait_for_function(
        "limit => document.querySelector('.qil-plan').getBoundingClientRect().width <= limit", arg=width
    )
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")


def test_a_node_in_a_subgraph_keeps_its_plan(editor: Editor) -> None:
    node = editor.add_node()
    editor.set_widget(node, "recipe", "distilled")
    editor.wrap_in_subgraph(node)
    editor.page.wait_for_function("() => !window.comfyAPI.app.app.canvas.graph.isRootGraph")
    editor.look_at(0, 0)
    (inner,) = editor.nodes()
    editor.look_at(*editor.node(inner, "node => [...node.pos]"))
    editor.wait_for_plans()
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")
    editor.set_widget(inner, "recipe", "base")
    expect(editor.panel().locator(".qil-recipe")).to_have_text("base")
    editor.app("app => app.canvas.setGraph(app.rootGraph)")
    expect(editor.panel()).to_have_count(0)


def test_a_removed_node_asks_no_more(editor: Editor) -> None:
    node = editor.add_node()
    asked: list[str] = []
    editor.page.on("request", lambda request: asked.append(request.url) if "/plan?" in request.url else None)
    with editor.plans_held_back():
        with editor.page.expect_request(lambda request: "/plan?" in request.url):
            editor.set_widget(node, "recipe", "base")
        editor.node(node, "node => node.graph.remove(node)")
        expect(editor.page.locator(".qil-plan")).to_have_count(0)
        before = len(asked)
        editor.app("app => app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')")
        assert len(asked) == before


def test_refreshing_the_editor_looks_at_the_files_again(editor: Editor) -> None:
    editor.add_node()
    with editor.expect_plan():
        editor.app("app => app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')")


def test_other_workflow_and_back(editor: Editor) -> None:
    node = editor.add_node()
    editor.set_widget(node, "recipe", "distilled")
    editor.app("app => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    expect(editor.page.locator(".qil-plan:visible")).to_have_count(0)
    editor.app("app => app.extensionManager.command.execute('Workspace.CloseWorkflow')")
    editor.wait_for_plans()
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")


def test_zoomed_far_out_and_back(editor: Editor) -> None:
    editor.add_node()
    editor.look_at(0, 0, 2)
    expect(editor.panel().locator(".qil-release")).to_be_visible()
    editor.look_at(0, 0, 0.1)
    editor.look_at(0, 0)
    expect(editor.panel().locator(".qil-release")).to_be_visible()


def test_the_keyboard_opens_a_reason(editor: Editor) -> None:
    editor.add_node()
    row = editor.panel().locator("[data-key=file-vae]")
    row.focus()
    editor.page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    expect(editor.panel().locator("#qil-file-vae")).to_contain_text("VAE")
    assert row.evaluate("row => row.getRootNode().activeElement === row")


def test_a_reloaded_page_shows_the_plan_again(editor: Editor) -> None:
    node = editor.add_node()
    editor.node(node, "node => { node.title = 'to be reloaded' }")
    editor.set_widget(node, "recipe", "distilled")
    editor.page.wait_for_function("() => Object.values(localStorage).some(draft => draft.includes('to be reloaded'))")
    editor.page.reload()
    editor.wait_until_ready()
    editor.look_at(0, 0)
    editor.wait_for_plans()
    expect(editor.panel().locator(".qil-recipe")).to_have_text("distilled")
