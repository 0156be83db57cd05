"""Downloads in a real server, from a hub on loopback: by a run, by the routes, interrupted, killed, and abused."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from comfyui_client import RunResult
from comfyui_fixtures import SHARED_SET, make_base
from comfyui_host import PACK_FOLDER, Host
from comfyui_server import ComfyServer
from download_fixtures import STAGING
from hub import Hub
from stock_graphs import LOADER, stock_template, with_loader
from tiny_models import ensure_tiny_models

PREFIX = "/qwen-image-loader"
VALUES = {"recipe": "distilled", "precision": "fp8_e4m3fn", "download_missing": True}
JSON = {"Content-Type": "application/json"}


class Downloads:
    """A server whose pack knows the tiny models' sizes and hashes, and the hub that has them. No models on disk."""

    def __init__(self, host: Host, base: Path, hub: Hub, served: Mapping[str, Path]) -> None:
        self.hub = hub
        self.served = {path.name: path for path in served.values()}
        make_base(base, host, models=(), copy_pack=True)
        facts = self._serve(host)
        catalog = base / "custom_nodes" / PACK_FOLDER / "planner" / "catalog.py"
        known = f"_TINY = {facts!r}\nCATALOG = tuple(_replace(row, **_TINY.get(row.name, {{}})) for row in CATALOG)\n"
        source = catalog.read_text(encoding="utf-8").replace(
            "_BY_NAME =", f"from dataclasses import replace as _replace\n\n{known}\n_BY_NAME ="
        )
        catalog.write_text(source, encoding="utf-8")
        environment = {**hub.environment(base / "hf"), "HF_TOKEN": "hf_not_a_real_token"}
        self.models = base / "models"
        self.server = ComfyServer(host, base, ("--cpu", "--enable-cors-header", "*"), environment)

    def _serve(self, host: Host) -> dict[str, Any]:
        from qwen_image_loader.planner.catalog import find_catalog_file

        facts = {}
        for name, path in self.served.items():
            row = find_catalog_file(name)
            assert row
            sha256 = self.hub.add(row.repo, row.path, path)
            facts[name] = {"size_bytes": path.stat().st_size, "size_is_exact": True, "sha256": sha256}
        return facts

    def clear(self) -> None:
        """An empty models folder again, and no download under way."""
        self.post("/download/cancel", {})
        for path in [*self.models.rglob("*.safetensors"), *self.models.rglob("*.partial")]:
            path.unlink()
        self.hub.behave()

    def get(self, route: str) -> Any:
        return self.server.get_json(PREFIX + route)

    def post(self, route: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        status, answer = self.server.request(PREFIX + route, body, "POST", headers)
        return status, json.loads(answer) if answer.startswith(b"{") else answer

    def until(self, condition: Callable[[dict[str, Any]], bool], timeout: float = 60) -> dict[str, Any]:
        """The first download state that fulfils `condition`."""
        deadline = time.monotonic() + timeout
        while not condition(state := self.get("/download")):
            assert time.monotonic() < deadline, (state, self.server.log_text()[-3000:])
            time.sleep(0.02)
        return state  # type: ignore[no-any-return]

    def wrong_files(self) -> list[str]:
        """Files under final names that do not have the bytes the hub serves."""
        found = [path for path in self.models.rglob("*.safetensors") if STAGING not in path.parts]
        return [path.name for path in found if path.read_bytes() != self.served[path.name].read_bytes()]


@pytest.fixture(scope="module")
def running(comfyui_host: Host, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloads]:
    base = tmp_path_factory.mktemp("downloads")
    downloads = Downloads(comfyui_host, base, hub, ensure_tiny_models(comfyui_host, SHARED_SET))
    with downloads.server:
        yield downloads


@pytest.fixture
def downloads(running: Downloads) -> Iterator[Downloads]:
    running.clear()
    yield running
    running.clear()


def run_beside(server: ComfyServer, graph: Any) -> tuple[threading.Thread, list[RunResult]]:
    """Run a graph in a thread; the list gets its result."""
    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(server.run(graph)))
    thread.start()
    return thread, results


def plan_only(**values: Any) -> dict[str, Any]:
    """A graph that needs nothing of the loader but its plan."""
    from stock_graphs import DEFAULTS

    loader = {"class_type": LOADER, "inputs": {**DEFAULTS, **VALUES, **values}}
    return {"loader": loader, "show": {"class_type": "PreviewAny", "inputs": {"source": ["loader", 7]}}}


def test_a_run_with_nothing_on_disk_fetches_the_plan_and_gives_the_image(
    downloads: Downloads, object_info: dict[str, Any], record_fact: Callable[[str], None]
) -> None:
    graph = with_loader(stock_template(object_info, "distilled", side=64), **VALUES)
    began = time.monotonic()
    result = downloads.server.run(graph)
    assert result.status == "success", result.error
    assert len(downloads.server.images(result)) == 1
    assert downloads.wrong_files() == []
    states = [data for kind, data in result.messages if kind == "qwen-image-loader.download"]
    assert states[-1]["finished"]
    assert {state["index"] for state in states if state["running"]} >= {1, 2, 3}
    assert [s["done_bytes"] for s in states] == sorted(s["done_bytes"] for s in states)
    texts = [data["text"] for kind, data in result.messages if kind == "progress_text" and data["node"] == "loader"]
    assert any("of 3" in text and "/s" in text for text in texts), texts
    assert any(kind == "progress_state" for kind, _ in result.messages)
    assert not [path for path, _ in downloads.hub.authorization if path.startswith("storage/")], "token left the hub"
    record_fact(
        f"nothing on disk -> {states[-1]['total_bytes'] / 1e9:.1f} GB -> image: {time.monotonic() - began:.0f} s"
    )


def test_an_interrupt_ends_the_download_and_the_next_run_goes_on_with_it(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    downloads.hub.bytes_per_second = 60e6
    thread, results = run_beside(downloads.server, plan_only())
    before = downloads.until(lambda state: state["running"] and state["done_bytes"] > 40e6)
    began = time.monotonic()
    downloads.server.request("/interrupt", {})
    state = downloads.until(lambda state: not state["running"])
    stopped = time.monotonic() - began
    thread.join(30)
    took = time.monotonic() - began
    assert results[0].status == "interrupted"
    assert state["cancelled"]
    assert state["error"] is None
    downloads.hub.behave()
    assert downloads.server.run(plan_only()).status == "success"
    assert downloads.wrong_files() == []
    size = downloads.served[before["file"]].stat().st_size
    assert downloads.hub.sent[before["file"]] < size, "the part that was there was fetched again"
    record_fact(
        f"interrupt in a running server: download stopped after {stopped:.2f} s, prompt ended after {took:.2f} s"
    )


def test_cancel_answers_at_once_also_while_the_connection_hangs(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    from hub import Fault

    name = "qwen_image_vae.safetensors"
    downloads.hub.misbehave(name, Fault.STALL, at=100_000_000, times=None)
    assert downloads.post("/download/start", {"files": [name]})[0] == 200
    downloads.until(lambda state: state["running"] and state["done_bytes"] > 80e6)
    began = time.monotonic()
    status, state = downloads.post("/download/cancel", {})
    took = time.monotonic() - began
    assert (status, state["cancelled"], state["running"]) == (200, True, False)
    downloads.hub.behave()
    assert downloads.post("/download/start", {"files": [name]})[0] == 200, "the old thread does not block a new start"
    assert downloads.until(lambda state: not state["running"])["finished"]
    assert downloads.wrong_files() == []
    record_fact(f"cancel of a hanging download in a running server: {took:.3f} s")


def test_two_clicks_and_a_run_are_one_download(downloads: Downloads) -> None:
    files = [
        file["catalog_name"] for file in downloads.get("/plan?recipe=distilled&precision=fp8_e4m3fn")["plan"]["files"]
    ]
    assert len(files) == 3
    downloads.hub.bytes_per_second = 400e6
    assert downloads.post("/download/start", {"files": files})[0] == 200
    assert downloads.post("/download/start", {"files": files[:1]})[0] == 200
    result = downloads.server.run(plan_only())
    assert result.status == "success", result.error
    assert downloads.wrong_files() == []
    for file in files:
        assert downloads.hub.sent[file] == downloads.served[file].stat().st_size


def test_other_files_have_to_wait(downloads: Downloads) -> None:
    downloads.hub.bytes_per_second = 20e6
    assert downloads.post("/download/start", {"files": ["qwen_image_vae.safetensors"]})[0] == 200
    other = "Qwen-Image-Lightning-8steps-V1.0.safetensors"
    status, answer = downloads.post("/download/start", {"files": [other]})
    assert status == 409
    assert "qwen_image_vae.safetensors" in answer["error"]


def test_without_being_asked_nothing_is_fetched(downloads: Downloads) -> None:
    result = downloads.server.run(plan_only(download_missing=False))
    assert result.status == "error"
    assert "download_missing" in result.error
    assert not downloads.hub.requests


def test_an_error_reaches_the_node_in_words(downloads: Downloads) -> None:
    from hub import Fault

    downloads.hub.misbehave("qwen_image_vae.safetensors", Fault.GATED, times=None)
    result = downloads.server.run(plan_only())
    assert result.status == "error"
    assert "hf auth login" in result.error
    assert "qwen_image_vae.safetensors" in result.error
    assert str(downloads.models) not in json.dumps(downloads.get("/download"))


def test_kill_in_the_middle_leaves_no_wrong_file_and_the_next_start_completes(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    """Three of the ten kills, in the whole server; the others are in test_kills.py, in a process that only fetches."""
    names = ["qwen_image_vae.safetensors", "Qwen-Image-Lightning-8steps-V1.0.safetensors"]
    moments = random.Random(3)
    for _ in range(3):
        downloads.hub.bytes_per_second = 150e6
        assert downloads.post("/download/start", {"files": names})[0] == 200
        total = downloads.until(lambda state: state["total_bytes"] < 1e9 and state["done_bytes"] > 0)["total_bytes"]
        moment = moments.uniform(0.05, 0.95) * total
        downloads.until(lambda state, moment=moment: not state["running"] or state["done_bytes"] >= moment)
        downloads.server.kill()
        assert downloads.wrong_files() == []
        downloads.server.start()
        downloads.hub.behave()
        assert downloads.post("/download/start", {"files": names})[0] == 200
        assert downloads.until(lambda state: not state["running"])["finished"]
        assert downloads.wrong_files() == []
        assert sorted(path.name for path in downloads.models.rglob("*.safetensors")) == sorted(names)
        assert not list(downloads.models.rglob("*.partial"))
        downloads.clear()
    record_fact("SIGKILL of the server at 3 moments: bytes lost 0, wrong files 0, next start completed 3 of 3")


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("route", ["/download/start", "/download/cancel"])
def test_another_sites_page_can_do_nothing(downloads: Downloads, headers: dict[str, str], route: str) -> None:
    status, _ = downloads.post(route, {"files": ["qwen_image_vae.safetensors"]}, headers)
    assert status == 403
    assert not downloads.hub.requests
    assert not downloads.get("/download")["running"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_is_not_json(downloads: Downloads, kind: str) -> None:
    body = json.dumps({"files": ["qwen_image_vae.safetensors"]}).encode()
    assert downloads.post("/download/start", body, {"Content-Type": kind})[0] == 400
    assert not downloads.hub.requests


def test_the_editors_own_page_may_start_and_cancel(downloads: Downloads) -> None:
    own = {"Origin": downloads.server.url, "Sec-Fetch-Site": "same-origin"}
    assert downloads.post("/download/start", {"files": ["qwen_image_vae.safetensors"]}, own)[0] == 200
    assert downloads.post("/download/cancel", {}, own)[0] == 200


def test_the_plan_route_says_what_is_missing_and_nothing_secret(downloads: Downloads) -> None:
    answer = downloads.get("/plan?recipe=distilled&precision=fp8_e4m3fn&vram_limit_gib=8")
    assert answer["plan"]["missing_bytes"] > 0
    assert "Qwen-Image" in answer["text"]
    assert {space["folder"] for space in answer["disk"]} >= {"vae", "diffusion_models"}
    assert not answer["download"]["running"]
    text = json.dumps(answer)
    assert str(downloads.server.base) not in text
    assert str(Path.home()) not in text
    assert "hf_not_a_real_token" not in text
