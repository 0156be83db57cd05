"""From the template browser to a picture, and what the panel says of the run."""

from __future__ import annotations

from editor import NODE, Editor
from playwright.sync_api import expect

TEMPLATE = "Qwen-Image_fast_on_small_cards"


def test_a_workflow_of_the_template_browser_runs_to_a_picture(editor: Editor) -> None:
    page = editor.page
    editor.app("app => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.get_by_role("dialog").get_by_text("qwen-image-loader", exact=True).click()
    page.get_by_role("dialog").get_by_text(TEMPLATE, exact=True).click()
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_function(f"""() => window.comfyAPI.app.app.rootGraph._nodes.some(node => node.type === "{NODE}")""")
    (node,) = editor.nodes()
    editor.app(
        """app => {
            const size = app.rootGraph._nodes.find(node => node.type === "EmptySD3LatentImage")
            for (const widget of size.widgets) if (["width", "height"].includes(widget.name)) widget.value = 64
            const sampler = app.rootGraph._nodes.find(node => node.type === "KSampler")
            sampler.widgets.find(widget => widget.name === "seed").value = Date.now() // so that it is not in the cache
        }"""
    )
    with page.expect_response(
        lambda response: "/view?" in response.url and "type=output" in response.url, timeout=120_000
    ):
        page.get_by_test_id("queue-button").click()
    look(editor, node)
    last_run = editor.panel().locator(".qil-measured")
    expect(last_run).to_contain_text("s per step")
    it_stays_with_its_workflow(editor, node, last_run.inner_text())
    assert editor.app("app => app.extensionManager.lastExecutionError ?? null") is None


def it_stays_with_its_workflow(editor: Editor, node: int, words: str) -> None:
    """Not shown in a copy, nor in a second tab of the same file; there again when its own tab is."""
    own = "tab => tab === window.comfyAPI.app.app.extensionManager.workflow.activeWorkflow.path"
    tab = editor.app("app => app.extensionManager.workflow.activeWorkflow.path")
    for other in (
        "app => app.extensionManager.command.execute('Comfy.DuplicateWorkflow')",
        "app => app.loadGraphData(app.rootGraph.serialize(), true, true, 'a second tab')",
    ):
        editor.app(other)
        editor.page.wait_for_function(f"tab => !({own})(tab)", arg=tab)
        look(editor, node)
        expect(editor.panel().locator(".qil-recipe")).to_be_visible()
        expect(editor.panel().locator(".qil-measured")).to_have_count(0)
        while not editor.page.evaluate(own, tab):
            editor.app("app => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
        look(editor, node)
        expect(editor.panel().locator(".qil-measured")).to_have_text(words)


def look(editor: Editor, node: int) -> None:
    editor.look_at(*editor.node(node, "node => [node.pos[0], node.pos[1] + 200]"))
    editor.wait_for_plans()
