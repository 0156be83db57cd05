"""A node in a subgraph: what is promoted to the outside is planned with the value there, as the prompt sends it."""

from __future__ import annotations

from typing import Any

import pytest
from editor import Editor
from playwright.sync_api import expect

FP8 = "qwen_image_fp8_e4m3fn.safetensors"

OUTER = "app.rootGraph._nodes.find(node => node.isSubgraphNode?.())"


@pytest.fixture
def inner(editor: Editor) -> int:
    """The id of a node in a subgraph, which is on screen."""
    return wrap(editor, editor.add_node())


def wrap(editor: Editor, node: int) -> int:
    """Convert a node to a subgraph, open that, and return the id that the node has there."""
    editor.wrap_in_subgraph(node)
    (inner,) = editor.nodes()
    show(editor, inner)
    return inner


def show(editor: Editor, inner: int) -> None:
    editor.page.wait_for_function("() => !window.comfyAPI.app.app.canvas.graph.isRootGraph")
    editor.wait_for_frames()
    editor.look_at(*editor.node(inner, "node => [node.pos[0] - 200, node.pos[1]]"))
    editor.wait_for_plans()


def promote(editor: Editor, inner: int, name: str) -> None:
    """Promote an input as the context menu of its widget does; that menu's words change with the editor's language."""
    editor.node(
        inner,
        """(node, name) => {
            const slot = node.inputs.find(input => input.name === name)
            node.graph.addInput(name, String(slot.type)).connect(slot, node)
        }""",
        name,
    )
    editor.page.wait_for_function(f"() => {{ const {{ app }} = window.comfyAPI.app; return {OUTER}.inputs.length }}")


def set_outside(editor: Editor, name: str, value: Any, which: int = 0) -> None:
    """Change a promoted input on a subgraph node in the root graph."""
    editor.app(
        """(app, [which, name, value]) => {
            const node = app.rootGraph._nodes.filter(node => node.isSubgraphNode?.())[which]
            const widget = node.widgets.find(widget => widget.name === name)
            app.canvas.emitBeforeChange()
            widget.value = value
            widget.callback?.(value, app.canvas, node)
            app.canvas.emitAfterChange()
        }""",
        [which, name, value],
    )


def leave(editor: Editor) -> None:
    editor.app("app => app.canvas.setGraph(app.rootGraph)")
    expect(editor.panel()).to_have_count(0)


def enter(editor: Editor, inner: int, which: int = 0) -> None:
    editor.app(
        """(app, which) => {
            const node = app.rootGraph._nodes.filter(node => node.isSubgraphNode?.())[which]
            app.canvas.openSubgraph(node.subgraph, node)
        }""",
        which,
    )
    show(editor, inner)


def sent(editor: Editor, name: str) -> list[Any]:
    """What the prompt has for an input of each Load Qwen-Image."""
    output = editor.app("async app => (await app.graphToPrompt()).output")
    return [node["inputs"][name] for node in output.values() if node["class_type"] == "QIL_LoadQwenImage"]


def expect_recipe(editor: Editor, recipe: str, *, notice: bool = False) -> None:
    expect(editor.panel().locator(".qil-recipe")).to_have_text(recipe)
    expect(editor.panel().get_by_text("Set by a link")).to_have_count(int(notice))


def test_a_promoted_input_is_planned_with_the_value_outside(editor: Editor, inner: int) -> None:
    editor.set_widget(inner, "recipe", "base")
    promote(editor, inner, "recipe")
    expect_recipe(editor, "base")
    leave(editor)
    set_outside(editor, "recipe", "distilled")
    enter(editor, inner)
    expect_recipe(editor, "distilled")
    assert sent(editor, "recipe") == ["distilled"]
    set_outside(editor, "recipe", "base")  # the side panel can do this while the inside is on screen
    expect_recipe(editor, "base")
    assert sent(editor, "recipe") == ["base"]


def test_a_cure_sets_a_promoted_input_outside(editor: Editor, inner: int) -> None:
    promote(editor, inner, "recipe")
    set_outside(editor, "recipe", "Lightning 8 steps")
    editor.set_widget(inner, "diffusion_model_file", FP8)
    editor.panel().locator(".qil-warn .qil-button").first.click()
    expect(editor.panel().locator(".qil-warn")).to_have_count(0)
    assert sent(editor, "recipe") != ["Lightning 8 steps"] or sent(editor, "lora_file") != ["auto"]


def test_a_promoted_input_through_two_subgraphs(editor: Editor, inner: int) -> None:
    promote(editor, inner, "recipe")
    leave(editor)
    editor.app(
        f"""app => {{
            const {{ subgraph: outer, node }} = app.rootGraph.convertToSubgraph(new Set([{OUTER}]))
            const host = outer._nodes.find(node => node.isSubgraphNode?.())
            if (host.inputs[0].link == null) outer.addInput("recipe", "COMBO").connect(host.inputs[0], host)
            app.canvas.openSubgraph(outer, node)
            app.canvas.openSubgraph(host.subgraph, host)
        }}"""
    )
    show(editor, inner)
    set_outside(editor, "recipe", "distilled")
    expect_recipe(editor, "distilled")
    assert sent(editor, "recipe") == ["distilled"]


def test_each_node_of_one_subgraph_has_its_own_plan(editor: Editor, inner: int) -> None:
    promote(editor, inner, "recipe")
    leave(editor)
    editor.app(
        f"""app => {{
            const second = LiteGraph.createNode({OUTER}.subgraph.id)
            second.pos = [700, 0]
            app.rootGraph.add(second)
        }}"""
    )
    set_outside(editor, "recipe", "distilled", 0)
    set_outside(editor, "recipe", "base", 1)
    assert sent(editor, "recipe") == ["distilled", "base"]
    for which, recipe in enumerate(("distilled", "base")):
        enter(editor, inner, which)
        expect_recipe(editor, recipe)
        leave(editor)
    editor.app(f"app => app.canvas.setGraph({OUTER}.subgraph)")  # as the browser's Back does: through neither of them
    show(editor, inner)
    expect(editor.panel().get_by_text("Set by a link")).to_have_count(1)
    set_outside(editor, "recipe", "distilled", 1)  # now both say the same
    expect_recipe(editor, "distilled")


def test_a_link_outside_is_told_as_a_link(editor: Editor, inner: int) -> None:
    promote(editor, inner, "recipe")
    leave(editor)
    editor.app(
        f"""app => {{
            const primitive = LiteGraph.createNode("PrimitiveNode")
            app.rootGraph.add(primitive)
            primitive.connect(0, {OUTER}, 0)
        }}"""
    )
    enter(editor, inner)
    expect(editor.panel().get_by_text("Set by a link")).to_have_count(1)
