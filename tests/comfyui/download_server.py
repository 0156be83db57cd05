"""A server with nothing on disk whose pack knows the tiny models, and the loopback hub that has them."""

from __future__ import annotations

import itertools
import json
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
from download_fixtures import STAGING, teach_catalog
from hub import Hub
from stock_graphs import DEFAULTS, LOADER
from tiny_models import ensure_tiny_models, place_models

PREFIX = "/qwen-image-loader"
TOKEN = "hf_not_a_real_token"
VAE = "qwen_image_vae.safetensors"
LORA = "Qwen-Image-Lightning-8steps-V1.0.safetensors"
BASE = "qwen_image_fp8_e4m3fn.safetensors"
DISTILLED = "qwen_image_distill_full_fp8_e4m3fn.safetensors"
TEXT_ENCODER = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
VALUES = {"recipe": "distilled", "precision": "fp8_e4m3fn", "download_missing": True}
_limits = itertools.count(100)


class Downloads:
    """A server whose pack knows the tiny models' sizes and hashes, and the hub that has them. No models on disk."""

    def __init__(self, host: Host, base: Path, hub: Hub, served: Mapping[str, Path]) -> None:
        self.hub = hub
        self.cached = served
        self.served = {path.name: path for path in served.values()}
        make_base(base, host, models=(), copy_pack=True)
        facts = self._serve(host)
        teach_catalog(base / "custom_nodes" / PACK_FOLDER, facts)
        environment = {**hub.environment(base / "hf"), "HF_TOKEN": TOKEN}
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

    def place(self, *names: str) -> None:
        """Put files into the models folder, as if they had been fetched long ago."""
        for file, path in self.cached.items():
            if path.name in names:
                place_models({file: path}, self.models)

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
    """A graph that needs nothing of the loader but its plan, and that the server has not run before."""
    limit = float(next(_limits))
    loader = {"class_type": LOADER, "inputs": {**DEFAULTS, **VALUES, "vram_limit_gib": limit, **values}}
    return {"loader": loader, "show": {"class_type": "PreviewAny", "inputs": {"source": ["loader", 7]}}}
