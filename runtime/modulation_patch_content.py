"""Names what LoRAs and other patches make of the modulation layers by their content, so that rows outlive the session.

The host gives every set of patches a new number, also to the same LoRA that was only added again. By content its rows
are found again, in memory and on disk, instead of being computed from gigabytes of weights.
"""

from __future__ import annotations

import hashlib
from typing import Any

import comfy.weight_adapter
import torch

from .modulation_patches import host_keys, lora_dtype
from .modulation_weights import ModulationWeights, is_plain, raw_bytes

_NUMBERS_AND_WORDS = (type(None), bool, int, float, str)


class _UnknownPart(Exception):
    """Part of a patch is of a kind whose effect cannot be told from its content."""


def patch_content(weights: ModulationWeights, patcher: Any, device: torch.device) -> str | None:
    """A hash of all that the host does to the layers on `device` for `patcher`.

    None where functions or kinds of patches are among it that the host itself does not know.
    """
    digest = hashlib.blake2b(repr(lora_dtype(device)).encode(), digest_size=16)
    wrapped = getattr(patcher, "weight_wrapper_patches", {})
    try:
        for key in host_keys(weights):
            if wrapped.get(key):
                return None
            if key in patcher.patches:
                digest.update(key.encode())
                _add(digest, patcher.patches[key])
    except _UnknownPart:
        return None
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, (list, tuple)):
        digest.update(f"({len(value)}".encode())
        for part in value:
            _add(digest, part)
    elif isinstance(value, torch.Tensor) and is_plain(value):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(raw_bytes(value).numpy())
    elif type(value) in comfy.weight_adapter.adapters:
        digest.update(type(value).__qualname__.encode())
        _add(digest, value.weights)
    elif type(value) in _NUMBERS_AND_WORDS:
        digest.update(f"{value!r} ".encode())
    else:
        raise _UnknownPart
