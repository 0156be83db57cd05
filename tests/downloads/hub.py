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
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 256 * 1024


class Fault(Enum):
    """A way to fail. `at` is a byte position, `times` how often it happens before all is well (None: always)."""

    CUT = "connection cut at a byte"
    STALL = "nothing more after a byte"
    DRIP = "bytes come slowly (at = bytes a second)"
    SHORT = "body shorter than announced"
    LONG = "body longer than announced"
    WRONG_BYTES = "one byte differs"
    IGNORE_RANGE = "range ignored, whole file sent"
    REFUSE_RANGE = "range refused (416)"
    RATE_LIMIT = "429 with Retry-After"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503 of the storage host"
    GATED = "403 gated"
    LOGIN = "401"
    MISSING = "404 no such file"
    VANISH = "404 of the storage host"
    REDIRECT_LOOP = "redirects in circles"
    LOGIN_PAGE = "a network's login page answers"
    NO_SIZE = "no size in the answer"
    OTHER_FILE = "another file under the same name"
    HTML = "a web page instead of the file"


@dataclass
class _Plan:
    fault: Fault
    at: int
    times: int | None
    when: Callable[[int], bool] = field(default=lambda start: True)


class Hub:
    """The server. `requests` counts (method, file name) pairs; `sent` counts body bytes per file name."""

    def __init__(self, port: int = 0) -> None:
        self._files: dict[str, bytes | Path] = {}
        self._sha256: dict[str, str] = {}
        self._plans: dict[str, _Plan] = {}
        self._lock = threading.Lock()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.sent: Counter[str] = Counter()
        self.authorization: list[tuple[str, str]] = []  # (path, header) of each request that carried a token
        self.bytes_per_second = 0.0
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = _Server(("127.0.0.1", port), Handler)
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
        for block in _blocks(data, 0, _size(data)):
            digest.update(block)
        self._sha256[key] = digest.hexdigest()
        return self._sha256[key]

    def misbehave(self, name: str, fault: Fault, at: int = 0, times: int | None = 1) -> None:
        """The next `times` requests for the file `name` that the fault applies to go wrong (None: all of them)."""
        with self._lock:
            self._plans[name] = _Plan(fault, at, times)

    def behave(self) -> None:
        """All is well again, and counted anew."""
        with self._lock:
            self._plans.clear()
            self.requests.clear()
            self.sent.clear()
            self.authorization.clear()
        self.bytes_per_second = 0.0

    def take_fault(self, name: str, *faults: Fault) -> _Plan | None:
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: clients go away in the middle here, that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    owner: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self) -> None:
        path = unquote(self.path.split("?")[0]).strip("/")
        name = path.rsplit("/", 1)[-1]
        self.owner.requests[(self.command, name)] += 1
        if self.headers.get("Authorization"):
            self.owner.authorization.append((path, self.headers["Authorization"]))
        try:
            if path.startswith("storage/"):
                self._storage(*_split(path.removeprefix("storage/")), name)
            elif "/resolve/" in path:
                self._resolve(*_split(path), name)
            else:
                self._error(404, "EntryNotFound")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _resolve(self, repo: str, path: str, name: str) -> None:
        owner = self.owner
        found = owner.find(repo, path)
        refused = {
            Fault.GATED: (403, "GatedRepo"),
            Fault.LOGIN: (401, "RepoNotFound"),
            Fault.MISSING: (404, "EntryNotFound"),
            Fault.SERVER_ERROR: (500, ""),
        }
        if plan := owner.take_fault(name, *refused):
            self._error(*refused[plan.fault])
        elif plan := owner.take_fault(name, Fault.RATE_LIMIT):
            self._error(429, "", {"Retry-After": str(plan.at)})
        elif owner.take_fault(name, Fault.REDIRECT_LOOP):
            self._head(307, {"Location": self.path, "Content-Length": "0"})
        elif owner.take_fault(name, Fault.LOGIN_PAGE):
            self._head(200, {"Content-Type": "text/html", "Content-Length": "21"})
            if self.command == "GET":
                self.wfile.write(b"<html>log in</html>\r\n")
        elif found is None:
            self._error(404, "EntryNotFound")
        else:
            data, sha256 = found
            headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(_size(data)), "X-Linked-Etag": f'"{sha256}"'}
            if owner.take_fault(name, Fault.NO_SIZE):
                del headers["X-Linked-Size"]
            if owner.take_fault(name, Fault.OTHER_FILE):
                headers["X-Linked-Etag"] = f'"{"0" * 64}"'
            storage = f"{owner.storage_url}/storage/{repo}/resolve/{COMMIT}/{quote(path)}"
            self._head(302, {**headers, "Location": storage, "Content-Length": "0", "Accept-Ranges": "bytes"})

    def _storage(self, repo: str, path: str, name: str) -> None:
        owner = self.owner
        found = owner.find(repo, path)
        if owner.take_fault(name, Fault.VANISH) or found is None:
            self._error(404, "")
            return
        if owner.take_fault(name, Fault.UNAVAILABLE):
            self._error(503, "")
            return
        data, size = found[0], _size(found[0])
        start = _range_start(self.headers.get("Range"))
        if start and owner.take_fault(name, Fault.REFUSE_RANGE):
            self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        if start and owner.take_fault(name, Fault.IGNORE_RANGE):
            start = 0
        if owner.take_fault(name, Fault.HTML):
            data = b"<!DOCTYPE html><html>not here</html>".ljust(size)
        end = size
        if plan := owner.take_fault(name, Fault.SHORT):
            end = plan.at
        length = end - start
        if owner.take_fault(name, Fault.LONG):
            length += 1000
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "Content-Length": str(length)}
        if start:
            self._head(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"})
        else:
            self._head(200, headers)
        if self.command == "GET":
            self._send(name, data, start, end)
            self.wfile.write(b"x" * (length - (end - start)))

    def _send(self, name: str, data: bytes | Path, start: int, end: int) -> None:
        owner = self.owner
        cut = owner.take_fault(name, Fault.CUT)
        stall = owner.take_fault(name, Fault.STALL)
        drip = owner.take_fault(name, Fault.DRIP)
        wrong = owner.take_fault(name, Fault.WRONG_BYTES)
        speed = float(drip.at) if drip else owner.bytes_per_second
        position = start
        block = max(1, min(BLOCK, int(speed / 20))) if speed else BLOCK
        for chunk in _blocks(data, start, end, block):
            if wrong and position <= wrong.at < position + len(chunk):
                spot = wrong.at - position
                chunk = chunk[:spot] + bytes([chunk[spot] ^ 1]) + chunk[spot + 1 :]
            for limit in filter(None, (cut, stall)):
                chunk = chunk[: max(0, limit.at - position)] if limit.at < position + len(chunk) else chunk
            self.wfile.write(chunk)
            position += len(chunk)
            owner.sent[name] += len(chunk)
            if speed:
                owner.closing.wait(len(chunk) / speed)
            if cut and position >= cut.at:
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(2)
                return
            if stall and position >= stall.at:
                owner.closing.wait(60)
                self.close_connection = True
                return

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        extra = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._head(status, {**extra, **(headers or {}), "Content-Length": "0"})

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _split(path: str) -> tuple[str, str]:
    """repo and file of "{repo}/resolve/{revision}/{file}"."""
    repo, _, rest = path.partition("/resolve/")
    return repo, rest.partition("/")[2]


def _range_start(header: str | None) -> int:
    return int(header.removeprefix("bytes=").split("-")[0]) if header else 0


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _blocks(data: bytes | Path, start: int, end: int, block: int = BLOCK):  # type: ignore[no-untyped-def]
    if isinstance(data, bytes):
        for position in range(start, end, block):
            yield data[position : min(end, position + block)]
        return
    with data.open("rb") as file:
        file.seek(start)
        position = start
        while position < end and (chunk := file.read(min(block, end - position))):
            yield chunk
            position += len(chunk)


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
