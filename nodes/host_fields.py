"""Keeps the schema working on ComfyUI versions without the newer optional fields (advanced, search_aliases)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def known_fields(make: Callable[..., Any], **fields: Any) -> dict[str, Any]:
    """Those of `fields` that this host's `make` (an input class or io.Schema) accepts."""
    accepted = inspect.signature(make).parameters
    return {name: value for name, value in fields.items() if name in accepted}
