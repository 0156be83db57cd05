"""The pack in a running server: what it registers, how fast it is imported, and that it gets on with others."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_fixtures import SECOND_PACK_NODE, StartServer
from comfyui_host import PACK_FOLDER, REPOSITORY, Host, find_older_hosts
from comfyui_server import ComfyServer
from stock_graphs import LOADER, stock_template, with_loader

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "object_info.json"


def test_the_node_has_the_face_that_saved_workflows_rely_on(comfy_server: ComfyServer) -> None:
    """Run with UPDATE_GOLDEN=1 to write the file anew; read its diff: an input may only be added, at the end."""
    actual = comfy_server.object_info(LOADER)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(actual, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert actual == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_pack_loads_beside_one_that_has_folders_of_the_same_names(comfy_server: ComfyServer) -> None:
    assert not re.findall("IMPORT FAILED.*", comfy_server.log_text())
    assert comfy_server.object_info(LOADER)
    assert comfy_server.object_info(SECOND_PACK_NODE)


def test_the_import_is_listed_by_the_server(comfy_server: ComfyServer, record_fact: Callable[[str], None]) -> None:
    times = re.findall(rf"([\d.]+) seconds.*: .*{PACK_FOLDER}\s*$", comfy_server.log_text(), re.MULTILINE)
    assert len(times) == 1
    record_fact(f"import time of the pack in ComfyUI {comfy_server.host.version}: {times[0]} s")


def test_a_program_without_the_editor_gets_its_image(comfy_server: ComfyServer, object_info: dict[str, Any]) -> None:
    """No client_id, no websocket, only the inputs that are required: as a script would do it."""
    graph = with_loader(stock_template(object_info, "Lightning 8 steps", side=64), recipe="Lightning 8 steps")
    advanced = object_info[LOADER]["input"]["optional"]
    inputs = graph["loader"]["inputs"]
    graph["loader"]["inputs"] = {name: value for name, value in inputs.items() if name not in advanced}
    status, body = comfy_server.request("/prompt", {"prompt": graph})
    assert status == 200, body
    prompt_id = json.loads(body)["prompt_id"]
    deadline = time.monotonic() + 300
    while prompt_id not in (history := comfy_server.get_json(f"/history/{prompt_id}")):
        assert time.monotonic() < deadline, comfy_server.log_text()[-2000:]
        time.sleep(0.2)
    entry = history[prompt_id]
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    images = [image for output in entry["outputs"].values() for image in output.get("images", ())]
    assert len(images) == 1


def declared_floor() -> tuple[int, ...]:
    """The lowest ComfyUI that pyproject.toml promises."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'requires-comfyui = ">=(\d+)\.(\d+)\.(\d+)', text)
    assert found, "pyproject.toml has no requires-comfyui"
    return tuple(map(int, found.groups()))


OLDER_HOSTS = [host for host in find_older_hosts() if host.release >= declared_floor()] or [None]


@pytest.mark.parametrize("older", OLDER_HOSTS, ids=lambda host: host.version if host else "none")
def test_an_older_comfyui_loads_the_pack(start_server: StartServer, older: Host | None) -> None:
    if older is None:
        pytest.skip("no older ComfyUI; set COMFYUI_OLDER_PATHS")
    server = start_server(host=older, models=())
    assert not re.findall("IMPORT FAILED.*", server.log_text())
    assert server.object_info(LOADER)
    assert server.request("/qwen-image-loader/plan")[0] == 200
