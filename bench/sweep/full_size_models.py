"""Full-size model files with random weights, under the names of the real ones: time and bytes do not depend on values.

Made like the tiny models, with all their blocks. The graphs are the official template's, so the files are its files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from comfyui_host import Host
from tiny_models import BY_FILE, MAKER

from .cells import BASE, DISTILLED, FP8MIXED, GIB, LIGHTNING_4, LIGHTNING_8

DIFFUSION_BLOCKS = 60
TEXT_LAYERS = 28
VISION_BLOCKS = 32

_BASE_MODEL = "diffusion_models/qwen_image_fp8_e4m3fn.safetensors"
_LIGHTNING = "loras/Qwen-Image-Lightning-8steps-V1.0.safetensors"
_SHARED = ("text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors", "vae/qwen_image_vae.safetensors")
FILES_OF_RECIPE = {
    LIGHTNING_8: (_BASE_MODEL, _LIGHTNING),
    BASE: (_BASE_MODEL,),
    DISTILLED: ("diffusion_models/qwen_image_distill_full_fp8_e4m3fn.safetensors",),
    LIGHTNING_4: (_BASE_MODEL, "loras/Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-fp32.safetensors"),
    FP8MIXED: ("diffusion_models/qwen_image_fp8mixed.safetensors", _LIGHTNING),
}
SIZE_GIB = {"diffusion_models": 19.1, "text_encoders": 8.8, "vae": 0.3, "loras": 1.6}  # rounded up, for the disk check


def files_for(recipes: Iterable[str]) -> list[str]:
    """The files ("folder/name") that the recipes load."""
    return list(dict.fromkeys([*(file for recipe in recipes for file in FILES_OF_RECIPE[recipe]), *_SHARED]))


def make_full_size_models(host: Host, models: Path, recipes: Iterable[str], python: str = sys.executable) -> None:
    """Make what `models` lacks. Raises OSError when the disk is too small, CalledProcessError when the maker fails."""
    missing = [file for file in files_for(recipes) if not (models / file).is_file()]
    if not missing:
        return
    models.mkdir(parents=True, exist_ok=True)
    needed = sum(SIZE_GIB[file.split("/")[0]] for file in missing) * GIB
    free = shutil.disk_usage(models).free
    if free < needed:
        raise OSError(f"{models} has {free / GIB:.1f} GiB free; the models need {needed / GIB:.1f} GiB (--models DIR)")
    rows = [{**asdict(BY_FILE[file]), **_full_size(file), "target": str((models / file).resolve())} for file in missing]
    print(f"making {len(rows)} full-size model files ({needed / GIB:.0f} GiB) in {models}", flush=True)
    subprocess.run([python, str(MAKER), str(host.path)], input=json.dumps(rows), text=True, check=True)


def _full_size(file: str) -> dict[str, int]:
    if file.startswith("text_encoders/"):
        return {"blocks": TEXT_LAYERS, "vision_blocks": VISION_BLOCKS}
    return {"blocks": DIFFUSION_BLOCKS}
