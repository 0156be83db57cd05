"""What the pack hears from ComfyUI's server and tells the editor through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..planner.explain import plan_text
from ..planner.load_plan import LoadPlan
from ..planner.request import LoadRequest
from .log import log

PLAN_EVENT = "qwen-image-loader.executed"
MEASURED_EVENT = "qwen-image-loader.measured"


def executing_node_id() -> str:
    """The execution id of the node that runs now ("12", or "5:12" inside a subgraph); "" outside of a run."""
    context = get_executing_context()
    return context.node_id if context is not None else ""


def running_graphs() -> list[Mapping[str, Any]]:
    """The API-format graphs that run: one, or none."""
    running, _ = PromptServer.instance.prompt_queue.get_current_queue_volatile()
    return [item[2] for item in running]


def send_plan(plan: LoadPlan, node_id: str) -> None:
    """Logs the plan and sends it to the editor that started the run."""
    log.info("%s", plan_text(plan))
    server = PromptServer.instance
    server.send_sync(PLAN_EVENT, {"node_id": node_id, "plan": plan.to_json()}, server.client_id)


def send_measured(node_id: str, request: LoadRequest, peak_vram_bytes: int | None, seconds_per_step: float) -> None:
    """Tells the editor what a run with this request took; `peak_vram_bytes` is None where it cannot be known."""
    server = PromptServer.instance
    measured = {
        "node_id": node_id,
        "request": request.to_json(),
        "peak_vram_bytes": peak_vram_bytes,
        "seconds_per_step": seconds_per_step,
    }
    server.send_sync(MEASURED_EVENT, measured, server.client_id)
