"""Which bytes of the model files a run needs one after the other: a LoRA whole, then layer by layer as they compute.

A modulation table that has to be made first reads all modulation layers before the first block computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from ..planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from ..planner.memory import WRITING_HEAD
from .modulation_file import MappedFile, is_modulation
from .read_ahead import IN_USE_BYTES, Part

LOOKED_AT = (".comfy_quant", ".scale_input")  # tensors whose values ComfyUI 0.33.0 looks at while it loads a file
VISION = ("visual.", "model.visual.")  # of the text encoder
ORDER = (ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_DIFFUSION_MODEL, ROLE_VAE)
BEFORE_LAYERS = -1
MODULATION = "modulation"
LEFT_BY_COMFYUI_BYTES = 2 * 1024**3  # its copies grow until so much is left: `ensure_pin_budget`, read in 0.33.0
GAP_BYTES = 1024**2  # tensors this near to each other are read in one go
_LAYER_NUMBER = {
    ROLE_DIFFUSION_MODEL: re.compile(r"(?:^|\.)transformer_blocks\.(\d+)\."),
    ROLE_TEXT_ENCODER: re.compile(r"^model\.(?:language_model\.)?layers\.(\d+)\."),
}


class Modulation(Enum):
    """When the modulation layers are read."""

    WITH_BLOCKS = "with the blocks that they belong to"
    BEFORE_BLOCKS = "all of them first: the table has to be made"
    NEVER = "the table is there"


def order_of_use(files: Mapping[str, str], modulation: Modulation, *, sees_images: bool = False) -> list[Part]:
    """The parts of all files, role -> path. Raises OSError and ValueError as MappedFile does."""
    order = (role for role in ORDER if role in files)
    return [part for role in order for part in parts_of(role, files[role], modulation, sees_images=sees_images)]


def looked_at(path: str) -> list[tuple[int, int]]:
    """The bytes [first, last) of a file that are looked at one after the other while it is loaded: marks of quantized
    layers, all over the file. Raises OSError and ValueError as MappedFile does.
    """
    file = MappedFile(path)
    return [file.span(name) for name in file.names if name.endswith(LOOKED_AT)]


def need_not_stay(parts: Iterable[Part], available_bytes: int, read_again: Mapping[str, int]) -> set[str]:
    """The roles whose parts are to make room in memory as soon as the run has passed them.

    `read_again`: of the roles whose files ComfyUI reads again for what is in VRAM, the bytes that it has copies of;
    of other files it has copies of all but what a table is made of. Where everything fits into memory, with the copies
    and what ComfyUI and the libraries leave free, it all stays: the next start of ComfyUI finds it there. Where not,
    what is read again stays while there is room, the text encoder first: it is what the next prompt needs.
    """
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.role] = sizes.get(part.role, 0) + part.nbytes
    room = available_bytes - LEFT_BY_COMFYUI_BYTES - IN_USE_BYTES
    copied = {role: 0 if role == MODULATION else read_again.get(role, size) for role, size in sizes.items()}
    if sum(sizes.values()) + sum(copied.values()) <= room:
        return set()
    room -= sum(copied[role] for role in sizes if role in read_again)
    given_up = set(sizes)
    for role in (ROLE_TEXT_ENCODER, ROLE_DIFFUSION_MODEL, ROLE_VAE):
        if role in read_again and sizes.get(role, 0) <= room:
            room -= sizes.get(role, 0)
            given_up.discard(role)
    return given_up


def parts_of(role: str, path: str, modulation: Modulation, *, sees_images: bool = False) -> list[Part]:
    """The parts of a safetensors file in the order of their layers.

    What is in no layer comes first, under the number BEFORE_LAYERS; modulation layers before the blocks are in a role
    of their own. A text encoder's vision layers are left out unless it is shown images.
    Raises OSError and ValueError as MappedFile does.
    """
    file = MappedFile(path)
    unused = (WRITING_HEAD,) if sees_images else (WRITING_HEAD, *VISION)
    layers: dict[tuple[int, str, int], list[tuple[int, int]]] = {}  # (turn, role, number) -> spans
    pattern = _LAYER_NUMBER.get(role)
    for name in file.names:
        of_table = role == ROLE_DIFFUSION_MODEL and modulation is not Modulation.WITH_BLOCKS and is_modulation(name)
        if name.startswith(unused) or (of_table and modulation is Modulation.NEVER):
            continue
        match = pattern.search(name) if pattern else None
        if match is None:
            key = (0, role, BEFORE_LAYERS)
        elif of_table:
            key = (1, MODULATION, int(match.group(1)))
        else:
            key = (2, role, int(match.group(1)))
        layers.setdefault(key, []).append(file.span(name))
    return [Part(role, number, path, _joined(layers[turn, role, number])) for turn, role, number in sorted(layers)]


def _joined(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The spans in order, near ones as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(span for span in spans if span[0] < span[1]):
        if joined and first - joined[-1][1] <= GAP_BYTES:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
