"""Measures a sampling run and tells the editor: seconds per step and the card's memory in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import torch
from comfy.patcher_extension import WrappersMP

from ..planner.request import LoadRequest
from .events import send_measured

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "qwen_image_loader.measured_run"


def measure_runs(model: ModelPatcher, node_id: str, request: LoadRequest) -> None:
    """Add a wrapper to `model` that sends what each sampling run took; the run itself is not changed."""
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _Measured(node_id, request))


class _Measured:
    """Called around CFGGuider.outer_sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, ...)."""

    def __init__(self, node_id: str, request: LoadRequest) -> None:
        self.node_id = node_id
        self.request = request

    def __call__(
        self,
        executor: Callable[..., Any],
        noise: Any,
        latent_image: Any,
        sampler: Any,
        sigmas: Any,
        denoise_mask: Any = None,
        callback: Callable[..., None] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        ends: list[float] = []
        in_use: list[int] = []

        def on_step(*step: Any) -> None:
            ends.append(time.perf_counter())
            if (now := vram_in_use_bytes()) is not None:
                in_use.append(now)
            if callback is not None:
                callback(*step)

        result = executor(noise, latent_image, sampler, sigmas, denoise_mask, on_step, *args, **kwargs)
        if len(ends) > 1:
            # From the end of the first step on: the first one also brings the weights.
            pace = (ends[-1] - ends[0]) / (len(ends) - 1)
            send_measured(self.node_id, self.request, max(in_use, default=None), pace)
        return result


def vram_in_use_bytes() -> int | None:
    """Bytes of the card in use by all programs now, as the driver counts; None where there is no such count."""
    device = mm.get_torch_device()
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return int(total - free)
