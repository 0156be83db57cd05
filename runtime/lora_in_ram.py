"""A LoRA's weights as they will be used: in memory, in the precision in which ComfyUI applies them.

ComfyUI with dynamic VRAM gives up its copy of a LoRA after each node and reads the file again in the next run, past the
page cache (`comfy.model_management.reset_cast_buffers`, read in 0.33.0). For a LoRA of 1.7 GB that is 1 to 1.5 GB from
disk in every run. There it also casts the weights to the model's own precision before it uses them, so casting them
once, here, gives the same images and halves what is kept and streamed of a LoRA in float32.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.ops
import torch

from .file_in_memory import load_from_memory
from .log import log
from .modulation_patches import inference_dtype, is_dynamic
from .ram import total_ram
from .switches import is_on

MATRICES = ("lora_up.weight", "lora_down.weight", "lora_A.weight", "lora_B.weight")
HALF_PRECISIONS = (torch.bfloat16, torch.float16)
LARGEST_SHARE_OF_RAM = 1 / 8
# From 32768 elements on (at::internal::GRAIN_SIZE) PyTorch spreads an operation over all cores and waits for the last,
# and one of them is busy with the files that are being read (bench/NOTES.md, *One more busy thread*).
PIECE_ELEMENTS = 2**14


def hold_lora(weights: dict[str, torch.Tensor], patcher: Any) -> dict[str, torch.Tensor]:
    """The weights copied out of their file; as they are where the host does not stream.

    A LoRA that would take more than an eighth of the machine's RAM stays in its file.
    """
    if not is_dynamic(patcher):
        return weights
    precision = applied_precision(patcher)
    size = sum(tensor.numel() * _precision_of(name, tensor, precision).itemsize for name, tensor in weights.items())
    if size > LARGEST_SHARE_OF_RAM * total_ram():
        return weights
    return in_precision(weights, precision)


def in_precision(weights: dict[str, torch.Tensor], precision: torch.dtype | None) -> dict[str, torch.Tensor]:
    """Copies, float32 matrices cast to `precision`; those of another layout (LoHa, DoRA and the like) keep theirs."""
    layout = {name: (tensor.shape, _precision_of(name, tensor, precision)) for name, tensor in weights.items()}
    if is_on("lora-file-in-memory"):
        try:
            return load_from_memory(layout, partial(_copy_all, weights))
        except (OSError, RuntimeError, ValueError) as error:
            log.debug("The LoRA is held without a file in memory: %s", error)
    held = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in layout.items()}
    _copy_all(weights, held)
    return held


def _copy_all(weights: dict[str, torch.Tensor], into: dict[str, torch.Tensor]) -> None:
    """Copies every tensor into its namesake, by the calling thread alone: all others are better used otherwise."""
    for name, tensor in weights.items():
        pieces = zip(into[name].view(-1).split(PIECE_ELEMENTS), tensor.reshape(-1).split(PIECE_ELEMENTS), strict=True)
        for piece_into, piece in pieces:
            piece_into.copy_(piece)


def _precision_of(name: str, tensor: torch.Tensor, precision: torch.dtype | None) -> torch.dtype:
    is_matrix = name.endswith(MATRICES) and tensor.ndim == 2
    return precision if precision and is_matrix and tensor.dtype == torch.float32 else tensor.dtype


def applied_precision(patcher: Any) -> torch.dtype | None:
    """What the host casts a LoRA's matrices to before it uses them, if that is a half precision for all layers.

    It is that of the layers' inputs, but in the fp8 matrix multiplication of `--fast`, which has one of its own.
    """
    own = getattr(getattr(comfy.ops, "fp8_ops", None), "Linear", ())
    if any(isinstance(module, own) for module in patcher.model.diffusion_model.modules()):
        return None
    precision = inference_dtype(patcher.model)
    return precision if precision in HALF_PRECISIONS else None
