"""Turns single measures off by an environment variable, for before and after in the benchmark: nothing a user needs."""

from __future__ import annotations

import os

VARIABLE = "QWEN_IMAGE_LOADER_WITHOUT"  # names with commas between them: "block-prefetch,lora-in-ram"


def is_on(measure: str) -> bool:
    """Whether `measure` is not named in the variable."""
    return measure not in {name.strip() for name in os.environ.get(VARIABLE, "").split(",")}
