"""`play`: runs a scene of modulation/ in a process of its own, in the real ComfyUI, and returns its facts by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comfyui_host import Host
from tiny_models import ensure_tiny_models

STAGE = Path(__file__).parent / "modulation" / "stage.py"
MODELS = {
    "bf16": "diffusion_models/qwen_image_bf16.safetensors",
    "fp8": "diffusion_models/qwen_image_fp8_e4m3fn.safetensors",
    "distill": "diffusion_models/qwen_image_distill_full_bf16.safetensors",
    "edit_2511": "diffusion_models/qwen_image_edit_2511_bf16.safetensors",
    "layered": "diffusion_models/qwen_image_layered_bf16.safetensors",
    "text_encoder": "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors",
}
Facts = dict[str, Any]
Play = Callable[[str], dict[str, Facts]]
FactsOf = Callable[[str, str], Facts]


@pytest.fixture(scope="module")
def play(
    request: pytest.FixtureRequest, comfyui_host: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Play]:
    """play(scene) -> {comparison: facts}. The scenes that a test module names in TOGETHER are played two at a time,
    each in a folder of its own; the others share one, in the order of play."""
    paths = ensure_tiny_models(comfyui_host, MODELS.values())
    models = json.dumps({name: str(paths[file]) for name, file in MODELS.items()})
    shared = tmp_path_factory.mktemp("modulation")

    def run(scene: str, folder: Path) -> dict[str, dict[str, Any]]:
        command = [sys.executable, str(STAGE), scene, str(folder)]
        environment = {**os.environ, "COMFYUI_PATH": str(comfyui_host.path)}
        done = subprocess.run(command, input=models, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-6000:]
        lines = [line.removeprefix("FACTS ") for line in done.stdout.splitlines() if line.startswith("FACTS ")]
        return dict(json.loads(line) for line in lines)

    with ThreadPoolExecutor(2) as pool:
        together = getattr(request.module, "TOGETHER", ())
        played = {scene: pool.submit(run, scene, tmp_path_factory.mktemp("scene")) for scene in together}

        def result(scene: str) -> dict[str, dict[str, Any]]:
            if scene not in played:
                played[scene] = pool.submit(run, scene, shared)
            return played[scene].result()

        yield result
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def facts_of(play: Play) -> FactsOf:
    """facts_of(scene, name) -> the facts of one comparison; skips the test where this ComfyUI has no such thing."""

    def find(scene: str, name: str) -> Facts:
        facts = play(scene)
        if name not in facts:
            pytest.skip(f"this ComfyUI has no {name}")
        return facts[name]

    return find
