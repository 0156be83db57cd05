"""What a run tells the editor: the plan it carries out, and afterwards what it measured."""

from __future__ import annotations

from typing import Any

from comfyui_server import ComfyServer
from stock_graphs import stock_template, with_loader


def test_a_run_reports_its_plan_and_its_seconds_per_step(
    comfy_server: ComfyServer, object_info: dict[str, Any]
) -> None:
    graph = with_loader(stock_template(object_info, "Lightning 8 steps", side=64), recipe="Lightning 4 steps")
    result = comfy_server.run(graph)
    assert result.status == "success", result.error
    (executed,) = [data for kind, data in result.messages if kind == "qwen-image-loader.executed"]
    (measured,) = [data for kind, data in result.messages if kind == "qwen-image-loader.measured"]
    assert executed["node_id"] == measured["node_id"] == "loader"
    assert executed["plan"]["recipe"] == "Lightning 4 steps"
    assert executed["plan"]["settings"]["steps"] == 4
    assert 0 < measured["seconds_per_step"] < 60
    assert measured["peak_vram_bytes"] is None, "there is no card here, and no number is invented"
