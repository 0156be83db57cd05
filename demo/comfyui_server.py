"""A real ComfyUI server process on a free port, with the pack linked in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from comfyui_client import ComfyClient, ServerFailed
from comfyui_host import PACK_FOLDER, REPOSITORY, Host


def link_pack(custom_nodes: Path, copy: bool = False) -> Path:
    """Put this repository into `custom_nodes` as a link, or as a copy of its tracked and new files."""
    target = custom_nodes / PACK_FOLDER
    custom_nodes.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            target.symlink_to(REPOSITORY, target_is_directory=True)
            return target
        except OSError:
            pass  # Windows without the right to make links
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, target / name)
    return target


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ComfyServer(ComfyClient):
    """One server process. `base` is its base directory: base/models, base/custom_nodes, base/output, base/user.

    Use as a context manager, or call start() and stop(). `args` are further flags, `env` further variables.
    """

    def __init__(
        self,
        host: Host,
        base: Path,
        args: Iterable[str] = ("--cpu",),
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        super().__init__(free_port())
        self.host = host
        self.base = base
        self.args = tuple(args)
        self.env = dict(env or {})
        self.python = python
        self.log_path = base / f"server-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *more: str) -> list[str]:
        """The command line, with the flags that this host's version knows."""
        quiet = ("--disable-auto-launch", "--disable-api-nodes", "--base-directory", str(self.base))
        database = ("--database-url", "sqlite:///:memory:") if self.host.accepts("--database-url") else ()
        return [self.python, "main.py", "--port", str(self.port), *quiet, *database, *self.args, *more]

    def start(self, timeout: float = 180) -> ComfyServer:
        """Start and wait until /system_stats answers. Raises ServerFailed."""
        for folder in ("models", "custom_nodes", "input", "output"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.host.path, env=self._environment(), stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(f"ComfyUI at {self.host.path} did not start:\n{self.log_text()[-3000:]}")
            time.sleep(0.2)
        return self

    def check_startup(self, timeout: float = 180) -> str:
        """Load all packs and exit (--quick-test-for-ci); returns the log. The exit code says nothing about packs."""
        done = subprocess.run(
            self.command("--quick-test-for-ci"),
            cwd=self.host.path,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.stdout + done.stderr

    def stop(self) -> None:
        """End the process; kill it when it does not go within ten seconds."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> ComfyServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log_text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.is_file() else ""

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **self.env}
