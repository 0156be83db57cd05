"""Fixtures of the download tests: the hub, model files to serve, and a process that fetches them."""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

REPO = "org/models"
FOLDER = "vae"
ROLE = "vae"
STAGING = ".qwen-image-loader-partial"
MIB = 1024 * 1024
SIZE = 24 * MIB
NAME = "model.safetensors"
WORKER = Path(__file__).with_name("fetch_worker.py")


def model_bytes(size: int, seed: int = 0) -> bytes:
    """A valid safetensors file of exactly `size` bytes with one tensor of random bytes."""
    for padding in range(64):
        weights = size - 8 - 128
        header = json.dumps({"w": {"dtype": "U8", "shape": [weights], "data_offsets": [0, weights]}}).encode()
        if len(header) + padding >= 128:
            break
    header = header.ljust(128)
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(weights)


def row(name: str, size_bytes: int, sha256: str = "", **more: Any) -> dict[str, Any]:
    """The fields of a catalog row of the test's own."""
    fields = {"name": name, "role": ROLE, "repo": REPO, "path": f"split_files/{FOLDER}/{name}", "weight_format": "bf16"}
    return {**fields, "size_bytes": size_bytes, "sha256": sha256, "size_is_exact": True, **more}


def teach_catalog(pack: Path, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Let a copy of the pack know the sizes and hashes of a test's files: catalog name -> fields to replace."""
    catalog = pack / "planner" / "catalog.py"
    known = (
        f"_FACTS = {dict(facts)!r}\nCATALOG = tuple(_replace(row, **_FACTS.get(row.name, {{}})) for row in CATALOG)\n"
    )
    source = catalog.read_text(encoding="utf-8")
    assert "_BY_NAME =" in source
    taught = source.replace("_BY_NAME =", f"from dataclasses import replace as _replace\n\n{known}\n_BY_NAME =")
    catalog.write_text(taught, encoding="utf-8")


class Worker:
    """fetch_worker.py as a child process. `fetch` runs one download to its end; `log` is what it logged so far."""

    def __init__(self, environment: Mapping[str, str], log_path: Path) -> None:
        self._log_path = log_path
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def order(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def start(
        self, models: Path, *rows: Mapping[str, Any], patience: list[float] | None = None, more: Path | None = None
    ) -> None:
        """Fetch `rows` into `models`, or where that is not good into the models folder `more`."""
        folders = {name: [str(place / name) for place in (models, more) if place] for name in ("vae", "loras")}
        self.order({"rows": rows, "roots": folders, "patience": patience})

    def next(self, timeout: float = 60) -> dict[str, Any] | None:
        """The next message, None when the process ended."""
        return self._lines.get(timeout=timeout)

    def end(self) -> dict[str, Any]:
        """The end message of the running download."""
        while (message := self.next()) is not None:
            if "end" in message:
                return {**message["end"], **{key: message[key] for key in message if key != "end"}}
        raise AssertionError(f"the worker died: {self.log()[-2000:]}")

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state that fulfils `condition`. Raises AssertionError when the download ends before."""
        while (message := self.next()) is not None and "end" not in message:
            if condition(message["state"]):
                state: dict[str, Any] = message["state"]
                return state
        raise AssertionError(f"it ended before: {message} {self.log()[-2000:]}")

    def fetch(self, models: Path, *rows: Mapping[str, Any], more: Path | None = None) -> dict[str, Any]:
        self.start(models, *rows, more=more)
        return self.end()

    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()


StartWorker = Callable[..., Worker]


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture(autouse=True)
def well_behaved(request: pytest.FixtureRequest) -> None:
    """Each test starts with a hub that serves well."""
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").behave()


@pytest.fixture(scope="session")
def start_worker(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWorker]:
    """start_worker(**environment) -> a Worker whose hub is `hub`; all end with the session."""
    started: list[Worker] = []

    def start(**environment: str) -> Worker:
        home = tmp_path_factory.mktemp("worker")
        worker = Worker({**hub.environment(home / "hf"), **environment}, home / "log.txt")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker) -> Worker:
    """One worker that many tests share, one after the other."""
    return start_worker()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty models folder."""
    for name in ("vae", "loras"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of 128 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small tmpfs needs root on Linux")
    command = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=False)


def wrong_files(models: Path, served: Mapping[str, bytes]) -> list[str]:
    """Files under final names whose bytes are not those that the hub serves."""
    found = [path for path in models.rglob("*") if path.is_file() and STAGING not in path.parts]
    return [path.name for path in found if path.read_bytes() != served.get(path.name)]


def partials(models: Path) -> list[str]:
    """The names of all partial files."""
    return [path.name for path in models.rglob("*.partial")]


def fill(path: Path) -> None:
    """Write until the volume is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(MIB)):
            pass


@pytest.fixture(scope="session")
def data() -> bytes:
    return model_bytes(SIZE)


@pytest.fixture
def wanted(hub: Hub, data: bytes) -> dict[str, object]:
    """The row of a file that the hub serves."""
    return row(NAME, SIZE, hub.add(REPO, f"split_files/vae/{NAME}", data))
