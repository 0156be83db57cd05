"""A Hugging Face hub on loopback for tests: real headers, redirects to a storage host, ranges, and many ways to fail.

    with Hub() as hub:
        hub.add("org/repo", "folder/x.safetensors", data)
        hub.misbehave("x.safetensors", Fault.CUT, at=1000)
        environment = hub.environment()  # HF_ENDPOINT and friends for a child process

What is modelled on the real hub (as of 2026-11): /{repo}/resolve/{revision}/{path} answers with a redirect that carries
X-Repo-Commit, X-Linked-Size and X-Linked-Etag (the sha256); the bytes come from another host ("localhost" here, while
the hub is "127.0.0.1") and support ranges; errors carry X-Error-Code.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from hub_faults import Fault, PlannedFault
from hub_server import HubHandler, HubServer, blocks_of, size_of


class Hub:
    """The server. `requests` counts (method, file name) pairs; `sent` counts body bytes per file name."""

    def __init__(self, port: int = 0) -> None:
        self._files: dict[str, bytes | Path] = {}
        self._sha256: dict[str, str] = {}
        self._plans: dict[str, PlannedFault] = {}
        self._lock = threading.Lock()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.sent: Counter[str] = Counter()
        self.authorization: list[tuple[str, str]] = []  # (path, header) of each request that carried a token
        self.bytes_per_second = 0.0
        self.closing = threading.Event()
        hub = self

        class Handler(HubHandler):
            owner = hub

        self._server = HubServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage_url(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Variables for a child process: this hub, its own empty cache in `home`, short time-outs, no proxies."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def add(self, repo: str, path: str, data: bytes | Path) -> str:
        """Serve a file; returns its sha256."""
        key = f"{repo}/{path}"
        self._files[key] = data
        digest = hashlib.sha256()
        for block in blocks_of(data, 0, size_of(data)):
            digest.update(block)
        self._sha256[key] = digest.hexdigest()
        return self._sha256[key]

    def misbehave(self, name: str, fault: Fault, at: int = 0, times: int | None = 1) -> None:
        """The next `times` requests for the file `name` that the fault applies to go wrong (None: all of them)."""
        with self._lock:
            self._plans[name] = PlannedFault(fault, at, times)

    def behave(self) -> None:
        """All is well again, and counted anew."""
        with self._lock:
            self._plans.clear()
            self.requests.clear()
            self.sent.clear()
            self.authorization.clear()
        self.bytes_per_second = 0.0

    def take_fault(self, name: str, *faults: Fault) -> PlannedFault | None:
        """The planned fault if it is one of `faults`, used up once."""
        with self._lock:
            plan = self._plans.get(name)
            if plan is None or plan.fault not in faults:
                return None
            if plan.times is not None:
                plan.times -= 1
                if plan.times <= 0:
                    del self._plans[name]
            return plan

    def find(self, repo: str, path: str) -> tuple[bytes | Path, str] | None:
        key = f"{repo}/{path}"
        return (self._files[key], self._sha256[key]) if key in self._files else None

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    """Serve one folder of files, laid out as repo/path, for benchmarks and for trying things by hand."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("folder", nargs="?", default=tempfile.gettempdir(), type=Path)
    options.add_argument("--port", default=0, type=int)
    options.add_argument("--repo", default="org/repo")
    chosen = options.parse_args()
    with Hub(chosen.port) as hub:
        for path in filter(Path.is_file, chosen.folder.rglob("*")):
            hub.add(chosen.repo, path.relative_to(chosen.folder).as_posix(), path)
        print(hub.url, flush=True)
        while sys.stdin.readline():
            time.sleep(0)


if __name__ == "__main__":
    main()
