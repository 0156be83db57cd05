"""The HTTP side of the loopback hub: answers of the hub itself and of its storage host."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from hub_faults import Fault

if TYPE_CHECKING:
    from hub import Hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 256 * 1024


class HubServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: clients go away in the middle here, that is what is tested."""


class HubHandler(BaseHTTPRequestHandler):
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
        if plan := owner.take_fault(name, Fault.LATE):
            owner.closing.wait(plan.at)
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
            headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(size_of(data)), "X-Linked-Etag": f'"{sha256}"'}
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
        data, size = found[0], size_of(found[0])
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
        for chunk in blocks_of(data, start, end, block):
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


def size_of(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def blocks_of(data: bytes | Path, start: int, end: int, block: int = BLOCK) -> Iterator[bytes]:
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
