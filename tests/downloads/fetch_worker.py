"""Fetches as the pack does, in a process of its own: JSON lines in on stdin, JSON lines out on stdout.

In: {"rows": [fields of CatalogFile], "roots": {folder: [paths]}, "patience": [...]} starts a download,
{"cancel": true} cancels it. Out: {"state": ...} while it runs, then {"end": state, "error_type": name or null,
"cancel_seconds": how long the cancel took, or null, "library": huggingface_hub's version}.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
from load_pack import load_pack

load_pack()
import huggingface_hub  # noqa: E402
from qwen_image_loader.planner.catalog_file import CatalogFile  # noqa: E402
from qwen_image_loader.runtime.download_control import Patience  # noqa: E402
from qwen_image_loader.runtime.download_job import Job  # noqa: E402

QUICK = (0.02, 0.1, 3, 6, 5.0)


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    job: Job | None = None
    cancel_seconds: list[float] = []
    for order in orders():
        if "rows" in order:
            rows = [CatalogFile(**row) for row in order["rows"]]
            job = Job(rows, order["roots"].__getitem__, Patience(*order.get("patience") or QUICK))
            job.start()
            threading.Thread(target=report, args=(job, cancel_seconds), daemon=True).start()
        elif job:
            began = time.monotonic()
            job.cancel()
            cancel_seconds.append(time.monotonic() - began)


def orders() -> Iterator[dict[str, Any]]:
    """The lines of stdin; read without Python's buffer, which a thread may not hold when the process ends."""
    pending = b""
    while part := os.read(0, 65536):
        *lines, pending = (pending + part).split(b"\n")
        yield from map(json.loads, lines)


def report(job: Job, cancel_seconds: list[float]) -> None:
    while not job.wait(0.05):
        say({"state": job.state().to_json()})
    error = type(job.error).__name__ if job.error else None
    state = job.state().to_json()
    if job.is_cancelled:
        while not cancel_seconds:
            time.sleep(0.001)
    took = cancel_seconds.pop() if job.is_cancelled else None
    say({"end": state, "error_type": error, "cancel_seconds": took, "library": huggingface_hub.__version__})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
