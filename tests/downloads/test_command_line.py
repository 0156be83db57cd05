"""The command line as a user runs it: a process, its output and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from comfyui_host import Host
from comfyui_server import link_pack
from download_fixtures import MIB, model_bytes, teach_catalog
from hub import Hub
from hub_faults import Fault
from qwen_image_loader.planner.catalog import CATALOG

SIZE = 12 * MIB
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def served(hub: Hub) -> dict[str, bytes]:
    """Every catalog file, small: the hub has them. Name -> bytes."""
    files = {}
    for index, row in enumerate(CATALOG):
        files[row.name] = model_bytes(SIZE + index, seed=1)
        hub.add(row.repo, row.path, files[row.name])
    return files


@pytest.fixture(scope="module")
def pack(hub: Hub, served: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the pack that knows these files."""
    target = link_pack(tmp_path_factory.mktemp("command-line"), copy=True)
    facts = {name: {"size_bytes": len(data), "size_is_exact": True, "sha256": ""} for name, data in served.items()}
    teach_catalog(target, facts)
    return target


def command(pack: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(pack / "command_line.py"), *arguments]


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()


@pytest.fixture
def run(pack: Path, hub: Hub, tmp_path: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **hub.environment(tmp_path / "hf")}
        return subprocess.run(
            command(pack, *arguments), env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return run


def test_the_plan_is_printed_without_comfyui(run: Run) -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert "Without ComfyUI" in done.stdout
    assert "steps, cfg" in done.stdout
    assert "Missing" in done.stdout


def test_the_plan_as_json(run: Run) -> None:
    answer = json.loads(run("plan", "--json", "--recipe", "Lightning 8 steps").stdout)
    assert answer["plan"]["settings"]["steps"] == 8
    assert answer["text"]
    assert answer["notes"]


def test_fetch_brings_what_is_missing_and_then_nothing_is(
    run: Run, hub: Hub, served: dict[str, bytes], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    arguments = ("--models-directory", str(models), "--json")
    missing = [file["name"] for file in json.loads(run("plan", *arguments).stdout)["plan"]["files"]]
    done = run("fetch", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["download"]["finished"]
    found = {path.name: path.read_bytes() for path in models.rglob("*.safetensors")}
    assert found == {name: served[name] for name in missing}
    hub.behave()
    assert run("fetch", *arguments).returncode == 0
    assert not hub.sent


def test_a_dry_run_only_says_what_it_would_do(run: Run, hub: Hub, tmp_path: Path) -> None:
    done = run("fetch", "--dry-run", "--json", "--models-directory", str(tmp_path / "models"))
    assert done.returncode == 0
    would = json.loads(done.stdout)["would_fetch"]
    assert {row["folder"] for row in would} >= {"vae", "text_encoders", "diffusion_models"}
    assert all(row["url"].startswith("https://huggingface.co/") for row in would)
    assert not hub.requests
    assert not list((tmp_path / "models").iterdir())


def test_a_failure_is_said_and_counted(run: Run, hub: Hub, tmp_path: Path) -> None:
    hub.misbehave("qwen_image_vae.safetensors", Fault.GATED, times=None)
    done = run("fetch", "--models-directory", str(tmp_path / "models"))
    assert done.returncode == 1
    assert "hf auth login" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recipe", "quick"], "Lightning 8 steps"),
        (["--vram-limit-gib", "much"], "number"),
        (["fetch"], "--models-directory"),
    ],
    ids=["recipe", "limit", "no folder"],
)
def test_wrong_usage_is_answered_in_words(run: Run, arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C cannot be sent to one process on Windows")
def test_ctrl_c_stops_and_keeps_what_arrived(pack: Path, hub: Hub, served: dict[str, bytes], tmp_path: Path) -> None:
    name = "qwen_image_vae.safetensors"
    hub.misbehave(name, Fault.STALL, at=11 * MIB, times=None)
    models = tmp_path / "models"
    process = subprocess.Popen(
        command(pack, "fetch", "--models-directory", str(models)),
        env={**os.environ, **hub.environment(tmp_path / "hf")},
        stdout=subprocess.PIPE,
        text=True,
        # whoever runs the tests in the background of a shell has them, and all they start, ignore it
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not any(path.stat().st_size >= 10 * MIB for path in models.rglob(f"{name}.*.partial")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "kept" in output
    assert list(models.rglob(f"{name}.*.partial"))


@pytest.mark.comfy
def test_inside_comfyui_it_sees_what_comfyui_sees(run: Run, comfyui_host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "vae"
    elsewhere.mkdir(parents=True)
    config = tmp_path / "paths.yaml"
    config.write_text(json.dumps({"mine": {"base_path": str(elsewhere.parent), "is_default": True, "vae": "vae"}}))
    flags = ("--base-directory", str(tmp_path / "base"), "--extra-model-paths-config", str(config))
    done = run("plan", "--json", "--comfyui", str(comfyui_host.path), "--", *flags)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["plan"]["hardware"]["host_version"] == comfyui_host.version
    assert answer["notes"] == []
    assert run("fetch", "--comfyui", str(comfyui_host.path), "--", *flags).returncode == 0
    assert (elsewhere / "qwen_image_vae.safetensors").is_file(), "the user's default folder is the target"


@pytest.mark.parametrize("option", ["--models-directory", "--comfyui"])
def test_a_mistyped_folder_is_refused_and_not_made(run: Run, tmp_path: Path, option: str) -> None:
    done = run("fetch", option, str(tmp_path / "typo"))
    assert done.returncode == 2
    assert f"{option}: " in done.stderr
    assert str(tmp_path / "typo") in done.stderr
    assert not (tmp_path / "typo").exists()


def test_help_names_what_an_input_may_be(run: Run) -> None:
    assert "Lightning 8 steps" in run("--help").stdout
