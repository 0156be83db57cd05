"""The machine's RAM as ComfyUI sees it: how much there is, how much is left, whether it is enough to be generous."""

from __future__ import annotations

import comfy.model_management
import torch

ROOMY_BYTES = 48 * 1024**3  # holds the official template's files (32 GB) beside everything else


def total_ram() -> int:
    """Bytes of RAM that the machine has."""
    return int(comfy.model_management.get_total_memory(torch.device("cpu")))


def available_ram() -> int:
    """Bytes of RAM that could be had now; what only holds copies of files counts, for the system gives it up."""
    return int(comfy.model_management.get_free_memory(torch.device("cpu")))


def is_roomy() -> bool:
    """Whether copies of files that may be read again can stay in the system's memory without being in the way."""
    return total_ram() >= ROOMY_BYTES
