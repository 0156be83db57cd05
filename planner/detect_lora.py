"""Whether a LoRA is one for Qwen-Image, and which: by its layers, and a Lightning LoRA by its row or its name."""

from __future__ import annotations

import math
import re

from .catalog import catalog_rows
from .catalog_file import CatalogFile
from .detect_other import OtherModelError, name_other_model
from .find_row import find_row
from .found_file import Identity
from .load_plan import ROLE_LORA
from .name_words import has_steps, recipe_in_name, release_in_name
from .releases import QWEN_IMAGE
from .safetensors_header import SafetensorsHeader
from .weight_format import detect_weight_format

# LoRA, LoKr, LoHa and full differences, as comfy.weight_adapter of ComfyUI 0.33.0 names them.
_LORA_SUFFIX = re.compile(
    r"\.(lora_down|lora_up|lora_A|lora_B|lora\.down|lora\.up|lokr_w[12]|lokr_w[12]_[ab]|hada_w[12]_[ab]|diff)\b"
)
_QWEN_LORA_LAYER = re.compile(r"(?<!single_)transformer_blocks[._]\d+[._](img_mlp|txt_mlp|img_mod|txt_mod)[._]")
_ATTENTION_LORA_LAYER = re.compile(r"(?<!single_)transformer_blocks[._]\d+[._]attn[._]")
_WIDTH = 3072  # of a token inside the model; SD3, whose attention layers have the same names, has others
# Of Flux, HunyuanVideo and SD3; `ff` is the MLP of Flux and SD3, which Qwen-Image calls img_mlp and txt_mlp.
_FOREIGN_LORA = re.compile(
    r"single_transformer_blocks|double_blocks|joint_blocks|transformer_blocks[._]\d+[._]ff(_context)?[._]"
)


def detect_lora(listed: str, size_bytes: int, header: SafetensorsHeader, sha256: str) -> Identity:
    """Identify a LoRA, which `listed` is how ComfyUI lists. Raises OtherModelError for one of another model."""
    name = listed.rpartition("/")[2]
    if not _is_qwen_lora(header):
        raise OtherModelError(name_other_model(header, "a Qwen-Image LoRA"))
    row, evidence = find_row(ROLE_LORA, name, size_bytes, sha256)
    if row is None:
        row = _find_lightning_row(listed)
        evidence = evidence or "words in its file name"
    modulation = sum(t.nbytes for k, t in header.tensors.items() if "img_mod" in k or "txt_mod" in k)
    return Identity(
        ROLE_LORA,
        detect_weight_format(header),
        evidence or "its file name",
        release=row.release if row else "",
        recipe=row.recipe if row else "",
        trained_on=row.trained_on if row else "",
        version=row.version if row else (0, 0),
        catalog_name=row.name if row else "",
        weight_bytes=header.weight_bytes,
        modulation_bytes=modulation,
    )


def _is_qwen_lora(header: SafetensorsHeader) -> bool:
    """By layers that only Qwen-Image has, or attention layers of its width (their names are those of SD3's, too)."""
    keys = [key for key in header.tensors if _LORA_SUFFIX.search(key)]
    if any(_FOREIGN_LORA.search(key) for key in keys):
        return False
    if any(_QWEN_LORA_LAYER.search(key) for key in keys):
        return True
    attention = [key for key in keys if _ATTENTION_LORA_LAYER.search(key)]
    return any(_WIDTH in header.tensors[key].shape or _is_factor(key, header) for key in attention)


def _is_factor(key: str, header: SafetensorsHeader) -> bool:
    """Of a LoKr: its two factors' widths multiply to the layer's."""
    layer, mark, ending = key.rpartition(".lokr_w1")
    if not mark or ending not in ("", "_a"):
        return False
    others = [header.tensors[name] for name in (f"{layer}.lokr_w2", f"{layer}.lokr_w2_a") if name in header.tensors]
    factors = [tensor.shape[0] for tensor in (header.tensors[key], *others) if tensor.shape]
    return math.prod(factors) == _WIDTH


def _find_lightning_row(listed: str) -> CatalogFile | None:
    """The Lightning LoRA a renamed file is, by the words in its name: lightning, the step count and the release."""
    lower = listed.rpartition("/")[2].lower()
    if "lightning" not in lower or not (has_steps(lower, 4) or has_steps(lower, 8)):
        return None
    release, recipe = release_in_name(listed) or QWEN_IMAGE, recipe_in_name(lower)
    trained_on = "fp8_e4m3fn" if "fp8" in lower else "bf16"
    version = re.search(r"v(\d)\.(\d)", lower)
    rows = [row for row in catalog_rows(ROLE_LORA) if row.release == release and row.recipe == recipe]
    rows = [row for row in rows if row.trained_on == trained_on] or rows  # "fp8" may also be how it is stored
    same = [r for r in rows if version and r.version == (int(version[1]), int(version[2]))]
    return next(iter(same or rows), None)
