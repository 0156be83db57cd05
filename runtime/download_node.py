"""Downloads inside ComfyUI: the process's one Downloader, shown to the editor, and the wait inside a running node."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import comfy.model_management
import comfy.utils
from server import PromptServer

from ..planner.catalog import get_catalog_file
from ..planner.catalog_file import CatalogFile
from ..planner.load_plan import LoadPlan
from .download_job import BusyError, Downloader, Job
from .download_state import DownloadState
from .download_target import comfy_roots

DOWNLOAD_EVENT = "qwen-image-loader.download"
SHOW_SECONDS = 0.25
CHECKS_PER_SHOW = 5  # of the interrupt flag


def _announce(state: DownloadState) -> None:
    PromptServer.instance.send_sync(DOWNLOAD_EVENT, state.to_json())


downloader = Downloader(comfy_roots, _announce)


async def fetch_missing(plan: LoadPlan, *, node_id: str) -> None:
    """Fetch the plan's missing files, shown on node `node_id`; returns when they are there.

    A run that finds these files on their way waits for them, and leaves them alone when it is interrupted; one that
    began the download ends it. Raises DownloadError, and ComfyUI's InterruptProcessingException after a Cancel.
    """
    rows = [get_catalog_file(file.catalog_name) for file in plan.missing]
    job, is_mine = await _start_or_join(rows)
    try:
        await _watch(job, node_id)
    except BaseException:
        if is_mine:
            job.cancel()
        raise
    if job.is_cancelled:
        raise comfy.model_management.InterruptProcessingException
    if job.error is not None:
        raise job.error


async def _start_or_join(rows: Sequence[CatalogFile]) -> tuple[Job, bool]:
    while True:
        try:
            return downloader.start_or_join(rows)
        except BusyError:
            await asyncio.sleep(SHOW_SECONDS)
            comfy.model_management.throw_exception_if_processing_interrupted()


async def _watch(job: Job, node_id: str) -> None:
    bar = comfy.utils.ProgressBar(1, node_id=node_id)
    shown = ""
    while job.is_running:
        state = job.state()
        if state.text() != shown:
            shown = state.text()
            bar.update_absolute(state.done_bytes, max(1, state.total_bytes))
        for _ in range(CHECKS_PER_SHOW):
            await asyncio.sleep(SHOW_SECONDS / CHECKS_PER_SHOW)
            comfy.model_management.throw_exception_if_processing_interrupted()
            if not job.is_running:
                return
