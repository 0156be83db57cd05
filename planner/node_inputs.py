"""The node's inputs by their names: their defaults, and how text (of a query, of a command line) becomes a request."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from .hardware import GIB
from .releases import QWEN_IMAGE, RELEASES
from .request import AUTO, MODULATION_CHOICES, PRECISIONS, RECIPES, TEXT_ENCODER_DEVICES, LoadRequest

MAX_NAME_LENGTH = 1024
MAX_VRAM_LIMIT_GIB = 1024.0
DEFAULT_INPUTS: dict[str, Any] = {
    "model": QWEN_IMAGE,
    "recipe": AUTO,
    "precision": AUTO,
    "download_missing": False,
    "diffusion_model_file": AUTO,
    "text_encoder_file": AUTO,
    "vae_file": AUTO,
    "lora_file": AUTO,
    "vram_limit_gib": 0.0,
    "text_encoder_device": AUTO,
    "modulation": AUTO,
}
CHOICES: dict[str, tuple[str, ...]] = {
    "model": tuple(RELEASES),
    "recipe": (AUTO, *RECIPES),
    "precision": (AUTO, *PRECISIONS),
    "text_encoder_device": TEXT_ENCODER_DEVICES,
    "modulation": MODULATION_CHOICES,
}
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class BadInputError(ValueError):
    """A value that an input cannot have; the message names the input and what it may be."""


def request_from_inputs(inputs: dict[str, Any]) -> LoadRequest:
    """A LoadRequest from the node's inputs by their names; what is missing or not known yet (None) is the default."""
    values = {**DEFAULT_INPUTS, **{name: value for name, value in inputs.items() if value is not None}}
    vram_limit_bytes = int(values.pop("vram_limit_gib") * GIB)
    return LoadRequest(release=values.pop("model"), vram_limit_bytes=vram_limit_bytes, **values)


def read_inputs(query: Mapping[str, str]) -> LoadRequest:
    """The node's inputs out of a query; what is missing is the node's default. Raises BadInputError."""
    values: dict[str, Any] = {}
    for name, text in query.items():
        if name not in DEFAULT_INPUTS:
            raise BadInputError(f"There is no input '{name[:50]}'.")
        values[name] = _read_input(name, text)
    return request_from_inputs(values)


def _read_input(name: str, text: str) -> Any:
    choices = CHOICES.get(name)
    if choices is not None:
        if text not in choices:
            raise BadInputError(f"'{name}' must be one of: {', '.join(choices)}.")
        return text
    if name == "download_missing":
        if text.lower() not in BOOLEANS:
            raise BadInputError(f"'{name}' must be true or false.")
        return BOOLEANS[text.lower()]
    if name == "vram_limit_gib":
        return _read_gib(name, text)
    if len(text) > MAX_NAME_LENGTH or any(map(_is_control, text)):
        raise BadInputError(f"'{name}' is not a file name.")
    return text or AUTO


def _read_gib(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_VRAM_LIMIT_GIB:
        raise BadInputError(f"'{name}' must be a number from 0 to {MAX_VRAM_LIMIT_GIB:g}.")
    return number


def _is_control(character: str) -> bool:
    """True for what no file name holds; wide spaces and joined characters do occur in them."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
