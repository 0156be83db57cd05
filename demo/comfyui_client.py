"""A small client for a running ComfyUI: requests, prompts followed to their end, images in and out."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import websocket

ENDINGS = ("execution_success", "execution_error", "execution_interrupted")
PROGRESS_TEXT = 3  # type of a binary websocket message (source: protocol.py, BinaryEventTypes.TEXT)


@dataclass(frozen=True)
class RunResult:
    """What became of a prompt.

    status: success, error, interrupted, or refused (the server did not accept the graph). error: the message of an
    error or refusal in words, else "". node_errors: per node, for a refusal. outputs: node id -> its UI output.
    messages: every websocket message as (type, data); progress texts are ("progress_text", {"node", "text"}).
    times: when each message came, in seconds of time.monotonic().
    """

    prompt_id: str
    status: str
    error: str = ""
    node_errors: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[tuple[str, Any], ...] = ()
    times: tuple[float, ...] = ()


class ServerFailed(RuntimeError):
    """The server did not start, did not answer in time, or gave an answer that the protocol does not have."""


class ComfyClient:
    """Talks to the ComfyUI at 127.0.0.1:`port`."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            with urllib.request.urlopen(self.url + "/system_stats", timeout=5):
                return True
        except OSError:
            return False

    def request(
        self, path: str, body: Any = None, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """HTTP status and body; a body that is not bytes goes out as JSON. Never raises for a status."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        query = urllib.request.Request(self.url + path, data, {**kind, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(query, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get_json(self, path: str) -> Any:
        status, body = self.request(path)
        if status != 200:
            raise ServerFailed(f"GET {path}: {status} {body[:500]!r}")
        return json.loads(body)

    def object_info(self, node: str = "") -> dict[str, Any]:
        """/object_info of every node, or of one ({} when the server has no such node)."""
        answer: dict[str, Any] = self.get_json("/object_info" + (f"/{node}" if node else ""))
        return answer

    def run(self, graph: Mapping[str, Any], timeout: float = 300, **extra: Any) -> RunResult:
        """Queue an API-format graph, follow it on the websocket to its end. Raises ServerFailed on a timeout."""
        client = uuid.uuid4().hex
        address = f"ws://127.0.0.1:{self.port}/ws?clientId={client}"
        channel = websocket.create_connection(address, timeout=timeout)
        try:
            status, body = self.request("/prompt", {"prompt": graph, "client_id": client, **extra})
            answer = json.loads(body)
            if status != 200:
                reason = answer.get("error", {})
                words = f"{reason.get('message', '')} {reason.get('details', '')}".strip()
                return RunResult("", "refused", words, answer.get("node_errors") or {})
            return self._follow(channel, answer["prompt_id"], time.monotonic() + timeout)
        finally:
            channel.close()

    def _follow(self, channel: websocket.WebSocket, prompt_id: str, deadline: float) -> RunResult:
        arrived: list[tuple[float, tuple[str, Any]]] = []
        while True:
            if time.monotonic() > deadline:
                raise ServerFailed("the prompt did not end in time")
            try:
                message = channel.recv()
            except (websocket.WebSocketException, OSError) as error:
                raise ServerFailed(f"the server went away: {error}") from error
            if isinstance(message, bytes):
                text = _progress_text(message)
                if text:
                    arrived.append((time.monotonic(), ("progress_text", text)))
                continue
            event = json.loads(message)
            kind, data = event["type"], event.get("data") or {}
            arrived.append((time.monotonic(), (kind, data)))
            if kind in ENDINGS and data.get("prompt_id") == prompt_id:
                break
        error = data.get("exception_message", "") if kind == "execution_error" else ""
        return RunResult(
            prompt_id,
            kind.removeprefix("execution_"),
            error,
            outputs=self._history(prompt_id, deadline).get("outputs", {}),
            messages=tuple(message for _, message in arrived),
            times=tuple(moment for moment, _ in arrived),
        )

    def _history(self, prompt_id: str, deadline: float) -> dict[str, Any]:
        """The history entry, which the server writes a moment after the last websocket message."""
        while True:
            history = self.get_json(f"/history/{prompt_id}")
            if prompt_id in history or time.monotonic() > deadline:
                entry: dict[str, Any] = history.get(prompt_id, {})
                return entry
            time.sleep(0.05)

    def image(self, reference: Mapping[str, str]) -> bytes:
        """The bytes of an image that an output names ({"filename", "subfolder", "type"})."""
        status, body = self.request("/view?" + urllib.parse.urlencode(reference))
        if status != 200:
            raise ServerFailed(f"GET /view {reference}: {status}")
        return body

    def images(self, result: RunResult) -> list[bytes]:
        """The bytes of every image that a run saved, in the order of node ids."""
        outputs = [result.outputs[node] for node in sorted(result.outputs)]
        return [self.image(reference) for output in outputs for reference in output.get("images", ())]

    def upload_image(self, name: str, data: bytes) -> str:
        """Put an image into the input folder; returns the name that LoadImage takes."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        form = head + data + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        status, body = self.request("/upload/image", form, headers=kind)
        if status != 200:
            raise ServerFailed(f"POST /upload/image: {status} {body[:500]!r}")
        return str(json.loads(body)["name"])


def _progress_text(message: bytes) -> dict[str, str]:
    """{"node", "text"} of a progress text message, else {}."""
    if int.from_bytes(message[:4], "big") != PROGRESS_TEXT:
        return {}
    length = int.from_bytes(message[4:8], "big")
    return {"node": message[8 : 8 + length].decode(), "text": message[8 + length :].decode(errors="replace")}
