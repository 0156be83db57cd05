"""Fixtures around a real ComfyUI: the host, the tiny models, one shared server, and servers with other settings.

A test that uses any of them is a `comfy` test and is skipped, with one reason, where no ComfyUI can be run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from comfyui_host import Host, find_host, why_no_comfyui
from comfyui_server import ComfyServer, link_pack
from tiny_models import FP8_LIGHTNING, SHORT_TEXT_ENCODER, TEMPLATE_SET, ensure_tiny_models, place_models

SHARED_SET = (*TEMPLATE_SET, FP8_LIGHTNING)

SECOND_PACK = Path(__file__).with_name("second_pack")
SECOND_PACK_NODE = "SecondPackNode"
StartServer = Callable[..., ComfyServer]


def make_base(base: Path, host: Host, models: Iterable[str] = SHARED_SET, copy_pack: bool = False) -> Path:
    """A base directory for a server: the pack, the short text encoder and the tiny `models` ("folder/name")."""
    link_pack(base / "custom_nodes", copy_pack)
    shutil.copytree(SHORT_TEXT_ENCODER, base / "custom_nodes" / SHORT_TEXT_ENCODER.name)
    (base / "models").mkdir()
    place_models(ensure_tiny_models(host, models), base / "models")
    return base


@pytest.fixture(scope="session")
def comfyui_host() -> Host:
    """The ComfyUI that the tests run."""
    reason = why_no_comfyui()
    host = find_host()
    if reason or host is None:
        pytest.skip(reason)
    return host


@pytest.fixture(scope="session")
def comfy_server(comfyui_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """One server on the CPU with the pack, a second pack and SHARED_SET. Leave its files and settings as they are."""
    base = make_base(tmp_path_factory.mktemp("shared-server"), comfyui_host)
    shutil.copytree(SECOND_PACK, base / "custom_nodes" / SECOND_PACK.name)
    with ComfyServer(comfyui_host, base) as server:
        yield server


@pytest.fixture(scope="session")
def object_info(comfy_server: ComfyServer) -> dict[str, Any]:
    """/object_info of the shared server, which graphs are converted with."""
    return comfy_server.object_info()


@pytest.fixture
def start_server(comfyui_host: Host, tmp_path: Path) -> Iterator[StartServer]:
    """start_server(models=..., args=..., env=..., host=..., copy_pack=..., prepare=...) -> a started server of its own.

    `prepare(base)` may change the base directory before the start. All servers end with the test.
    """
    started: list[ComfyServer] = []

    def start(
        models: Iterable[str] = SHARED_SET,
        args: Iterable[str] = ("--cpu",),
        env: Mapping[str, str] | None = None,
        host: Host = comfyui_host,
        copy_pack: bool = False,
        prepare: Callable[[Path], None] = lambda base: None,
    ) -> ComfyServer:
        base = tmp_path / f"server-{len(started)}"
        base.mkdir()
        make_base(base, host, models, copy_pack)
        prepare(base)
        server = ComfyServer(host, base, args, env)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()
