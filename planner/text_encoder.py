"""Which text encoder is used, where it runs, and what it takes of the graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .choices import Choice, choices_for, find_format_refusal
from .found_file import FoundFile
from .hardware import KIND_CPU, Hardware
from .load_plan import ROLE_TEXT_ENCODER, Refusal
from .memory import ENCODE_ACTIVATION_BYTES, HOST_RAM_BYTES, usable_vram_bytes
from .request import LoadRequest
from .weight_format import EXACTNESS


def best_text_encoder(
    request: LoadRequest, hardware: Hardware, files: Sequence[FoundFile], refusals: list[Refusal]
) -> Choice | None:
    """On disk first, of those the catalog's; then the most exact that fits the device and RAM, else the smallest.

    To fetch: the catalog's first. None where nothing can run here; why files on disk cannot is added to `refusals`.
    """
    usable: list[Choice] = []
    for choice in choices_for(ROLE_TEXT_ENCODER, files):
        reason = find_encoder_refusal(choice, request, hardware, explicit=False)
        if not reason:
            usable.append(choice)
        elif choice.on_disk:
            refusals.append(Refusal(choice.name, reason))
    on_disk = [c for c in usable if c.on_disk]
    if not on_disk:
        return next(iter(usable), None)
    # Its whole file, whose output layer ComfyUI leaves out: that is the margin.
    room = usable_vram_bytes(hardware, request.vram_limit_bytes) - ENCODE_ACTIVATION_BYTES
    ram = hardware.ram_total_bytes - HOST_RAM_BYTES
    fitting = [c for c in on_disk if c.size_bytes <= room and c.weights.weight_bytes <= ram]
    if fitting:
        return min(fitting, key=lambda c: (not c.is_known, EXACTNESS.index(c.identity.weight_format), c.place))
    return min(on_disk, key=lambda c: (not c.is_known, c.size_bytes, c.place))


def find_encoder_refusal(choice: Choice, request: LoadRequest, hardware: Hardware, *, explicit: bool) -> str:
    """As find_format_refusal, where the encoder runs: a processor stores fp8 whatever the card does."""
    if encoder_device(request, hardware) == "cpu":
        hardware = replace(hardware, supports_fp8_storage=True)
    return find_format_refusal(choice, hardware, explicit=explicit)


def encoder_device(request: LoadRequest, hardware: Hardware) -> str:
    """ "cpu" or "gpu"."""
    return "cpu" if request.text_encoder_device == "cpu" or hardware.kind == KIND_CPU else "gpu"


def encoder_bytes_on(text_encoder: Choice, device: str) -> int:
    """What the text encoder's weights take of the graphics card."""
    return 0 if device == "cpu" else text_encoder.weights.weight_bytes
