"""Answers of the plan route for machines that are not here: real plans of the real planner, drawn by the real panel."""

from __future__ import annotations

from typing import Any

from machines import BASE_FP8, DISTILL_BF16, DISTILL_FP8, L8, TEXT, VAE, machine, on_disk
from qwen_image_loader.planner.explain import plan_text
from qwen_image_loader.planner.plan import plan
from qwen_image_loader.planner.request import LoadRequest
from qwen_image_loader.runtime.download_state import DownloadState

TEMPLATE = (BASE_FP8, DISTILL_FP8, DISTILL_BF16, TEXT, VAE, L8)
FOLDERS = ("diffusion_models", "text_encoders", "vae", "loras")
GIB = 1024**3


def answer(
    machine_name: str, files: tuple[str, ...] = TEMPLATE, download: DownloadState | None = None, **inputs: Any
) -> dict[str, Any]:
    """What the plan route answers on `machine_name` (tests/planner/machines.py) with these catalog files on disk."""
    made = plan(LoadRequest("Qwen-Image", **inputs), machine(machine_name), [on_disk(name) for name in files])
    return {
        "plan": made.to_json(),
        "text": plan_text(made),
        "disk": [{"folder": folder, "free_bytes": 120 * GIB, "volume": "1"} for folder in FOLDERS],
        "download": (download or DownloadState()).to_json(),
    }


RUNNING = DownloadState(
    running=True,
    file=TEXT,
    index=2,
    count=4,
    done_bytes=23_730_635_136,
    total_bytes=31_514_256_920,
    bytes_per_second=88_000_000.0,
    seconds_left=88.0,
)
