"""Which bytes of the model files a run needs one after the other: a LoRA whole, then layer by layer as they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from ..planner.memory import WRITING_HEAD
from .modulation_file import MappedFile, is_modulation
from .read_ahead import Part

ORDER = (ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_DIFFUSION_MODEL, ROLE_VAE)
BEFORE_LAYERS = -1
GAP_BYTES = 1024**2  # tensors this near to each other are read in one go
_LAYER_NUMBER = {
    ROLE_DIFFUSION_MODEL: re.compile(r"(?:^|\.)transformer_blocks\.(\d+)\."),
    ROLE_TEXT_ENCODER: re.compile(r"^model\.(?:language_model\.)?layers\.(\d+)\."),
}


def order_of_use(files: Mapping[str, str], modulation_table: bool) -> list[Part]:
    """The parts of all files, role -> path. Raises OSError and ValueError as MappedFile does."""
    return [part for role in ORDER if role in files for part in parts_of(role, files[role], modulation_table)]


def parts_of(role: str, path: str, modulation_table: bool) -> list[Part]:
    """The parts of a safetensors file in the order of their layers; with the table, without the modulation layers.

    What is in no layer comes first, under the number BEFORE_LAYERS. Raises OSError and ValueError as MappedFile does.
    """
    file = MappedFile(path)
    layers: dict[int, list[tuple[int, int]]] = {}
    pattern = _LAYER_NUMBER.get(role)
    for name in file.names:
        if name.startswith(WRITING_HEAD) or (modulation_table and role == ROLE_DIFFUSION_MODEL and is_modulation(name)):
            continue
        match = pattern.search(name) if pattern else None
        layers.setdefault(int(match.group(1)) if match else BEFORE_LAYERS, []).append(file.span(name))
    return [Part(role, number, path, _joined(layers[number])) for number in sorted(layers)]


def _joined(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The spans in order, near ones as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(span for span in spans if span[0] < span[1]):
        if joined and first - joined[-1][1] <= GAP_BYTES:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
