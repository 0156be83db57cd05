"""What the server tells the editor while the node runs: which node, and the plan it carries out."""

from __future__ import annotations

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..planner.explain import plan_text
from ..planner.load_plan import LoadPlan
from .log import log

PLAN_EVENT = "qwen-image-loader.executed"


def executing_node_id() -> str:
    """The execution id of the node that runs now ("12", or "5:12" inside a subgraph); "" outside of a run."""
    context = get_executing_context()
    return context.node_id if context is not None else ""


def send_plan(plan: LoadPlan, node_id: str) -> None:
    """Logs the plan and sends it to the editor that started the run."""
    log.info("%s", plan_text(plan))
    server = PromptServer.instance
    server.send_sync(PLAN_EVENT, {"node_id": node_id, "plan": plan.to_json()}, server.client_id)
