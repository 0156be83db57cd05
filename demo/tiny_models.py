"""The tiny model sets: real names, keys, widths and weight formats, but one block, and random weights.

ComfyUI loads them as it loads the real files. They are written once into a cache and hard-linked from there.
Standard library only; the writing is done by make_tiny_models.py in the Python that runs ComfyUI.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from comfyui_host import REPOSITORY, Host

MAKER = Path(__file__).with_name("make_tiny_models.py")
SHORT_TEXT_ENCODER = Path(__file__).with_name("short_text_encoder")  # a custom node that a server needs for them
CACHE = REPOSITORY / ".cache" / "tiny-models"


@dataclass(frozen=True)
class TinyModel:
    """One file to make. `part` is diffusion, text_encoder, vae or lora; `marks` are extra header keys of a release."""

    folder: str
    name: str
    part: str
    weight_format: str
    seed: int
    marks: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.folder}/{self.name}"


def _diffusion(name: str, weight_format: str, seed: int, *marks: str) -> TinyModel:
    return TinyModel("diffusion_models", name, "diffusion", weight_format, seed, marks)


def _lora(name: str, weight_format: str, seed: int) -> TinyModel:
    return TinyModel("loras", name, "lora", weight_format, seed)


ALL_TINY_MODELS = (
    _diffusion("qwen_image_fp8_e4m3fn.safetensors", "fp8_e4m3fn", 1),
    _diffusion("qwen_image_distill_full_fp8_e4m3fn.safetensors", "fp8_e4m3fn", 2),
    _diffusion("qwen_image_bf16.safetensors", "bf16", 1),
    _diffusion("qwen_image_fp8mixed.safetensors", "fp8_scaled", 1),
    _diffusion("qwen_image_distill_full_bf16.safetensors", "bf16", 2),
    _diffusion("qwen_image_2512_fp8_e4m3fn.safetensors", "fp8_e4m3fn", 3),
    _diffusion("qwen_image_2512_bf16.safetensors", "bf16", 3),
    _diffusion("qwen_image_edit_2511_bf16.safetensors", "bf16", 4, "__index_timestep_zero__"),
    _diffusion("qwen_image_layered_bf16.safetensors", "bf16", 5, "time_text_embed.addition_t_embedding.weight"),
    TinyModel("text_encoders", "qwen_2.5_vl_7b_fp8_scaled.safetensors", "text_encoder", "fp8_scaled", 11),
    TinyModel("text_encoders", "qwen_2.5_vl_7b.safetensors", "text_encoder", "bf16", 11),
    TinyModel("vae", "qwen_image_vae.safetensors", "vae", "bf16", 21),
    _lora("Qwen-Image-Lightning-8steps-V1.0.safetensors", "fp32", 31),
    _lora("Qwen-Image-Lightning-4steps-V1.0.safetensors", "fp32", 32),
    _lora("Qwen-Image-Lightning-8steps-V2.0-bf16.safetensors", "bf16", 33),
    _lora("Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-fp32.safetensors", "fp32", 34),
    _lora("Qwen-Image-2512-Lightning-4steps-V1.0-bf16.safetensors", "bf16", 35),
)
BY_FILE = {model.file: model for model in ALL_TINY_MODELS}

# What the official template names, the bf16 distilled model excepted: it is the fp8 one in another format.
TEMPLATE_SET = (
    "diffusion_models/qwen_image_fp8_e4m3fn.safetensors",
    "diffusion_models/qwen_image_distill_full_fp8_e4m3fn.safetensors",
    "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors",
    "vae/qwen_image_vae.safetensors",
    "loras/Qwen-Image-Lightning-8steps-V1.0.safetensors",
)
FP8_LIGHTNING = "loras/Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-fp32.safetensors"


def ensure_tiny_models(host: Host, files: Iterable[str], python: str = sys.executable) -> dict[str, Path]:
    """Make what the cache lacks of `files` ("folder/name"); returns file -> path in the cache.

    Raises KeyError for a name that no row has, CalledProcessError when the maker fails (its output is shown).
    """
    rows = [BY_FILE[file] for file in files]
    stamp = hashlib.sha256(MAKER.read_bytes()).hexdigest()[:12]
    missing = []
    for row in rows:
        target = _cached(row, stamp)
        if not target.is_file():
            missing.append({**asdict(row), "target": str(target)})
    if missing:
        for outdated in CACHE.glob("*"):
            if outdated.name != stamp:
                shutil.rmtree(outdated, ignore_errors=True)
        subprocess.run([python, str(MAKER), str(host.path)], input=json.dumps(missing), text=True, check=True)
    return {row.file: _cached(row, stamp) for row in rows}


def _cached(row: TinyModel, stamp: str) -> Path:
    return CACHE / stamp / row.folder / row.name


def place_models(paths: dict[str, Path], models_folder: Path) -> None:
    """Put cached files under `models_folder` by hard link, or by copy where the volume has no links.

    A linked file is the cache's own bytes: replace it in a test, never edit it in place.
    """
    for file, path in paths.items():
        target = models_folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
