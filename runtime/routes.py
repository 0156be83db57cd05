"""The pack's routes: the plan for a node's inputs, and the download with its start and cancel.

Any web page could send requests through a visitor's browser to the ComfyUI on that visitor's machine. So what changes
something is a POST of JSON (which a foreign page may not send unasked) from ComfyUI's own page; this is checked here,
because ComfyUI's own check is off with --enable-cors-header. A client names catalog files, never an address, a
repository, a path or a token, and no answer holds an absolute path.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..planner.catalog import find_catalog_file
from ..planner.catalog_file import FOLDERS
from ..planner.explain import plan_text
from ..planner.node_inputs import BadInputError, read_inputs
from ..planner.request import LoadRequest
from .download_errors import DownloadError
from .download_node import downloader
from .download_target import comfy_roots, existing_folder, free_bytes
from .log import log
from .planning import plan_for

PREFIX = "/qwen-image-loader"
MAX_BODY_BYTES = 64 * 1024


def add_routes(server: Any) -> None:
    """Add the routes to ComfyUI's PromptServer (which adds the /api twins)."""
    server.routes.get(f"{PREFIX}/plan")(get_plan)
    server.routes.get(f"{PREFIX}/download")(get_download)
    server.routes.post(f"{PREFIX}/download/start")(start_download)
    server.routes.post(f"{PREFIX}/download/cancel")(cancel_download)


async def get_plan(request: web.Request) -> web.Response:
    """Query: the node's inputs by name. Answers the plan, the plan in words, free disk space and the download."""
    try:
        load_request = read_inputs(request.query)
    except BadInputError as error:
        return _refuse(400, str(error))
    # In a thread: new model files' headers are read here.
    answer = await asyncio.get_running_loop().run_in_executor(None, _plan_answer, load_request)
    return web.json_response({**answer, "download": downloader.state().to_json()})


async def get_download(request: web.Request) -> web.Response:
    return web.json_response(downloader.state().to_json())


async def start_download(request: web.Request) -> web.Response:
    """Body: {"files": [catalog names]}. Answers the download's state; 409 while other files are being fetched."""
    try:
        names = (await _read_post(request)).get("files")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise BadInputError("'files' must be a list of file names.")
        rows = {name: find_catalog_file(name) for name in names}
        if any(row is None for row in rows.values()):
            raise BadInputError("'files' may only hold files of this pack's catalog.")
    except BadInputError as error:
        return _refuse(400, str(error))
    try:
        job, _ = downloader.start_or_join([row for row in rows.values() if row])
    except DownloadError as error:
        return _refuse(409, str(error))
    return web.json_response(job.state().to_json())


async def cancel_download(request: web.Request) -> web.Response:
    """Body: {}. Answers the state after the download has stopped."""
    try:
        await _read_post(request)
    except BadInputError as error:
        return _refuse(400, str(error))
    state = await asyncio.get_running_loop().run_in_executor(None, downloader.cancel)
    return web.json_response(state.to_json())


def _plan_answer(load_request: LoadRequest) -> dict[str, Any]:
    load_plan = plan_for(load_request)
    return {"plan": load_plan.to_json(), "text": plan_text(load_plan), "disk": list(_disks())}


def _disks() -> Iterator[dict[str, Any]]:
    """Of each kind of model: where a new file would go, the free bytes there, and a number that tells the volume."""
    for folder in FOLDERS.values():
        roots = comfy_roots(folder)
        if roots:
            try:
                place = existing_folder(Path(roots[0]))
                yield {"folder": folder, "free_bytes": free_bytes(place), "volume": str(place.stat().st_dev)}
            except OSError as error:
                log.debug("The disk of models/%s cannot be looked at: %s", folder, error)


async def _read_post(request: web.Request) -> dict[str, Any]:
    """The JSON object of a POST from ComfyUI's own page or from a program. Raises BadInputError and HTTPForbidden."""
    if is_foreign(request.headers):
        raise web.HTTPForbidden(text=json.dumps({"error": "Only ComfyUI's own page may do this."}))
    if request.content_type != "application/json":
        raise BadInputError("The request must be JSON (Content-Type: application/json).")
    if request.content_length is None or request.content_length > MAX_BODY_BYTES:
        raise BadInputError("The request is too large, or does not say how large it is.")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadInputError("The request is not valid JSON.") from error
    if not isinstance(body, dict):
        raise BadInputError("The request must be a JSON object.")
    return body


def is_foreign(headers: Mapping[str, str]) -> bool:
    """True for a request that a browser sent for another site's page. Programs send neither header.

    A page cannot change Sec-Fetch-Site, so it decides where it is there (also behind proxies that rename the host);
    browsers leave it out on plain http to other machines, where Origin and Host must agree.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("Origin")
    return origin is not None and _netloc(origin) != headers.get("Host", "").lower()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # for example "http://[": no address at all
        return ""


def _refuse(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
