"""The editor as a user sees it: one page with one graph, in one of the two renderers."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from comfyui_server import ComfyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page, Response, Route

NODE = "QIL_LoadQwenImage"
PLAN_ROUTE = "**/qwen-image-loader/plan?*"
ADVANCED = (
    "diffusion_model_file",
    "text_encoder_file",
    "vae_file",
    "lora_file",
    "vram_limit_gib",
    "text_encoder_device",
    "modulation",
)

READY = f"""() => window.LiteGraph?.registered_node_types?.["{NODE}"]
    && window.comfyAPI.app.app.extensionManager?.workflow?.activeWorkflow
    && window.comfyAPI.app.app.canvas"""
DOUBLE_CLICKS = 4
EMPTY = {"version": 0.4, "nodes": [], "links": [], "groups": [], "last_node_id": 0, "last_link_id": 0}

# What ComfyUI's own editor says on its console: files of a new user that do not exist yet, and its deprecations.
HOST_NOISE = (
    "/user.css",
    "/api/userdata",
    "legacy queue/history menu",
    "[MaskEditor]",
    "graph accessed before initialization",
    "[subgraphNavigation]",
)


class Editor:
    """One open editor. `renderer` is "canvas" or "nodes2". `problems` grows with every error and warning."""

    def __init__(self, page: Page, server: ComfyServer, renderer: str) -> None:
        self.page = page
        self.server = server
        self.renderer = renderer
        self.problems: list[str] = []
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        line = f"{message.type}: {message.text} {message.location.get('url', '')}"
        if message.type in ("error", "warning") and not any(noise in line for noise in HOST_NOISE):
            self.problems.append(line)

    def open(self) -> None:
        """Load the page, choose the renderer, and wait until it can be used."""
        self.page.goto(self.server.url)
        self.wait_until_ready()
        self.setting("Comfy.VueNodes.Enabled", self.renderer == "nodes2")

    def wait_until_ready(self) -> None:
        self.page.wait_for_function(READY, timeout=60_000)

    def setting(self, name: str, value: Any) -> None:
        self.app("(app, [name, value]) => app.extensionManager.setting.set(name, value)", [name, value])

    def app(self, function: str, argument: Any = None) -> Any:
        """Run `function(app, argument)` in the page."""
        return self.page.evaluate(f"argument => ({function})(window.comfyAPI.app.app, argument)", argument)

    def clear(self) -> None:
        """An empty graph at 100 %."""
        self.page.mouse.move(1300, 900)
        self.load(EMPTY)

    def load(self, workflow: dict[str, Any]) -> None:
        self.app(
            "(app, graph) => app.loadGraphData(graph, true, false, app.extensionManager.workflow.activeWorkflow)",
            workflow,
        )
        self.look_at(0, 0)

    def wrap_in_subgraph(self, node: int) -> None:
        """Convert a node to a subgraph and open that; the node has another id there."""
        self.app(
            """(app, id) => {
                app.canvas.select(app.canvas.graph.getNodeById(id))
                const { subgraph, node } = app.canvas.graph.convertToSubgraph(app.canvas.selectedItems)
                app.canvas.openSubgraph(subgraph, node)
            }""",
            node,
        )

    def look_at(self, x: float, y: float, scale: float = 1) -> None:
        """Show the graph's point x, y near the upper left corner, below the editor's bars."""
        self.app(
            """(app, [x, y, scale]) => {
                app.canvas.ds.scale = scale
                app.canvas.ds.offset = [90 / scale - x, 110 / scale - y]
                app.canvas.setDirty(true, true)
            }""",
            [x, y, scale],
        )

    def add_node(self, x: float = 0, y: float = 0) -> int:
        """Put a new Load Qwen-Image at x, y and wait for its plan; returns the node's id."""
        node = self.app(
            f"""(app, [x, y]) => {{
                app.canvas.emitBeforeChange()
                const node = LiteGraph.createNode("{NODE}")
                node.pos = [x, y]
                app.canvas.graph.add(node)
                app.canvas.emitAfterChange()
                return node.id
            }}""",
            [x, y],
        )
        self.wait_for_plans()
        self.wait_for_frames()
        return int(node)

    @contextmanager
    def plans_answered_by(self, answer: Callable[[Route], None]) -> Iterator[None]:
        """Each request for a plan goes to `answer` instead of the server; all of them before the block ends."""
        self.page.route(PLAN_ROUTE, answer)
        try:
            yield
        finally:
            self.page.unroute_all(behavior="wait")

    @contextmanager
    def plans_held_back(self, words: str = "") -> Iterator[Callable[[], None]]:
        """Requests for a plan whose address has these words wait for a call of what is yielded, at the end in vain."""
        held: list[Route] = []

        def hold(route: Route) -> None:
            if words in route.request.url:
                held.append(route)
            else:
                route.continue_()

        def let_go() -> None:
            while held:
                held.pop(0).continue_()

        with self.plans_answered_by(hold):
            try:
                yield let_go
            finally:
                while held:
                    held.pop().abort()

    def search(self, words: str, x: float = 700, y: float = 300) -> None:
        """Open the node search by a double click on the empty graph, type, and wait for our node among the results.

        A busy machine may take the clicks for two, or open the search so late that the next ones close it: so again.
        """
        for _ in range(DOUBLE_CLICKS):
            self.page.mouse.dblclick(x, y)
            if self.page.evaluate("""() => new Promise(done => {
                const stop = setTimeout(() => done(false), 4000)
                const typing = () => document.activeElement?.tagName === "INPUT"
                const look = () => typing() ? done(true) || clearTimeout(stop) : requestAnimationFrame(look)
                look()
            })"""):
                break
            self.page.keyboard.press("Escape")
        else:
            raise AssertionError(f"{DOUBLE_CLICKS} double clicks opened no search")
        self.page.keyboard.type(words)
        self.page.get_by_text("Load Qwen-Image", exact=True).first.wait_for()

    def put_down_new_node(self, x: float, y: float) -> None:
        """A node from search hangs on the pointer until a click puts it down."""
        ghosts = f'window.comfyAPI.app.app.canvas.graph._nodes.filter(n => n.type === "{NODE}" && n.flags.ghost)'
        self.page.wait_for_function(f"() => {ghosts}.length")
        self.page.mouse.move(x, y, steps=4)
        self.wait_for_frames()
        self.page.mouse.click(x, y)
        self.page.wait_for_function(f"() => !{ghosts}.length")

    def node(self, node: int, function: str, argument: Any = None) -> Any:
        """Run `function(node, argument)` with a node of the graph on screen."""
        find = "app.canvas.graph.getNodeById(id)"
        return self.app(f"(app, [id, argument]) => ({function})({find}, argument)", [node, argument])

    def nodes(self) -> list[int]:
        """The ids of the Load Qwen-Image nodes in the graph on screen, in the order of their making."""
        found = self.app(f'app => app.canvas.graph._nodes.filter(n => n.type === "{NODE}").map(n => Number(n.id))')
        return sorted(int(node) for node in found)

    def panel(self, node: int | None = None) -> Locator:
        """The panel of a node, or the only one on screen."""
        if node is None:
            return self.page.locator(".qil-plan:visible")
        number = self.node(
            node,
            """node => {
            const element = node.widgets.find(w => w.type === "qwen-image-loader.plan").element
            element.dataset.test = node.id
            return node.id
        }""",
        )
        return self.page.locator(f'.qil-plan[data-test="{number}"]')

    def wait_for_plans(self) -> None:
        """Until every panel on screen shows the answer to its last question."""
        self.page.wait_for_function(
            """() => {
                const panels = [...document.querySelectorAll(".qil-plan")]
                const bodies = panels.map(panel => panel.shadowRoot.querySelector(".qil-panel"))
                return bodies.length && bodies.every(body => body.getAttribute("aria-busy") === "false")
            }"""
        )

    def wait_for_room(self) -> None:
        """Until every panel on screen is as high as its plan: a new node grows with it."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll(".qil-plan")].every(plan => {
                const panel = plan.shadowRoot.querySelector(".qil-panel")
                return panel.clientHeight && panel.scrollHeight <= panel.clientHeight
            })"""
        )

    def wait_for_frames(self) -> None:
        """Until the canvas has been drawn again, which also puts panels where they belong."""
        self.app("app => app.canvas.setDirty(true, true)")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def set_widget(self, node: int, name: str, value: Any) -> None:
        """Change a widget as both renderers do it: set the value, call the widget's callback, one step of undo."""
        self.node(
            node,
            """(node, [name, value]) => {
                const { canvas } = window.comfyAPI.app.app
                const widget = node.widgets.find(w => w.name === name)
                canvas.emitBeforeChange()
                widget.value = value
                widget.callback?.(value, canvas, node)
                canvas.emitAfterChange()
            }""",
            [name, value],
        )

    def widget(self, node: int, name: str) -> Any:
        return self.node(node, "(node, name) => node.widgets.find(w => w.name === name).value", name)

    def choose(self, node: int, name: str, value: str) -> None:
        """Choose a value of a combo with the mouse."""
        if self.renderer == "nodes2":
            row = self.page.locator(f'[data-node-id="{node}"] [data-testid="node-widget"]').filter(has_text=name).first
            row.get_by_role("combobox").click()
            self.page.get_by_role("option", name=value, exact=True).click()
        else:
            entry = self.page.locator(".litemenu-entry").filter(has_text=re.compile(f"^{re.escape(value)}$"))
            self.page.mouse.move(*self.point_of_widget(node, name), steps=5)
            self.wait_for_frames()
            self.page.mouse.down()
            self.wait_for_frames()
            self.page.mouse.up()
            entry.click()

    def point_of_widget(self, node: int, name: str) -> tuple[float, float]:
        """The middle of a widget that the canvas draws, in pixels of the page."""
        self.wait_for_frames()
        x, y = self.node(
            node,
            """(node, name) => {
                const { canvas, ds } = window.comfyAPI.app.app.canvas
                const widget = node.widgets.find(w => w.name === name)
                const box = canvas.getBoundingClientRect()
                const x = node.pos[0] + node.size[0] / 2, y = node.pos[1] + widget.y + 10
                return [(x + ds.offset[0]) * ds.scale + box.left, (y + ds.offset[1]) * ds.scale + box.top]
            }""",
            name,
        )
        return x, y

    def expect_plan(self) -> Any:
        """with editor.expect_plan() as answer: ... -> waits for the next answer of the plan route."""

        def is_plan(response: Response) -> bool:
            return "/qwen-image-loader/plan?" in response.url

        return self.page.expect_response(is_plan)

    def saved(self) -> dict[str, Any]:
        """The workflow as it would be saved now."""
        workflow: dict[str, Any] = self.app("app => app.rootGraph.serialize()")
        return workflow
