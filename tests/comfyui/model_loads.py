"""What a run reads from model files, and a LoRA with which it fails after its diffusion model is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from comfyui_server import ComfyServer
from safetensors.torch import save_file

# What ComfyUI logs when it reads a diffusion model and a text encoder from their files.
LOADS = {"diffusion model": r"model weight dtype ", "text encoder": r"CLIP/text encoder model load device"}


def loads_in(server: ComfyServer, graph: dict[str, Any], status: str = "success") -> dict[str, int]:
    """How often each kind of model was read while a prompt ran, from ComfyUI's own log."""
    start = len(server.log_text())
    result = server.run(graph)
    assert result.status == status, result.error
    log = server.log_text()[start:]
    return {kind: len(re.findall(pattern, log, re.MULTILINE)) for kind, pattern in LOADS.items()}


def write_useless_lora(path: Path) -> None:
    """A LoRA for a layer that no model has."""
    key = "transformer_blocks.99.img_mlp.net.2"
    save_file({f"{key}.lora_down.weight": torch.zeros(4, 12288), f"{key}.lora_up.weight": torch.zeros(3072, 4)}, path)
