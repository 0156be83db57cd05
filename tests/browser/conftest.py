"""Fixtures: a server with the template's files, and an open editor per renderer, empty at the start of each test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from comfyui_fixtures import make_base
from comfyui_host import Host
from comfyui_server import ComfyServer
from editor import Editor
from hub import Hub

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MORE_FILES = 50
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.UseNewMenu": "Top", "Comfy.Minimap.Visible": False}


@pytest.fixture(scope="session")
def panel_server(comfyui_host: Host, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server with the template's files and fifty more, a local hub, and a user who is past the first-run screens."""
    base = make_base(tmp_path_factory.mktemp("panel-server"), comfyui_host)
    loras = base / "models" / "loras"
    lora = next(loras.glob("*.safetensors"))
    for number in range(MORE_FILES):
        (loras / "more").mkdir(exist_ok=True)
        os.link(lora, loras / "more" / f"somebody's style {number:02}.safetensors")
    user = base / "user" / "default"
    user.mkdir(parents=True)
    (user / "comfy.settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    environment = hub.environment(tmp_path_factory.mktemp("hub-home"))
    with ComfyServer(comfyui_host, base, env=environment) as server:
        yield server


@pytest.fixture(scope="session", params=["canvas", "nodes2"])
def open_editor(request: pytest.FixtureRequest, chromium: Browser, panel_server: ComfyServer) -> Iterator[Editor]:
    """One editor for all tests of a renderer: loading the page takes longer than most tests."""
    context = chromium.new_context(viewport={"width": 1600, "height": 1100})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor = Editor(context.new_page(), panel_server, request.param)
    editor.open()
    yield editor
    context.close()


@pytest.fixture
def editor(open_editor: Editor) -> Iterator[Editor]:
    """The open editor with an empty graph; the test fails if the page complains about anything meanwhile."""
    open_editor.clear()
    yield open_editor
    problems, open_editor.problems = open_editor.problems, []
    assert problems == []


@pytest.fixture
def no_vae(models: Path) -> Iterator[None]:
    """The VAE is not there during the test: the one file that every plan needs on every machine, and a small one."""
    vae = next((models / "vae").glob("*.safetensors"))
    kept = vae.rename(models / vae.name)
    yield
    vae.unlink(missing_ok=True)
    kept.rename(vae)


@pytest.fixture
def models(panel_server: ComfyServer) -> Path:
    """The model folder of the server."""
    return panel_server.base / "models"
