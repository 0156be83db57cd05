"""What a model file is, from its header, its name and its size; nothing is loaded.

Evidence for the release and the recipe, strongest first (each number has its rows in tests/test_detect.py):

1. a sha256 of the catalog (only known when a download or the user had the file hashed);
2. a size in bytes that one row of the catalog alone has;
3. marker tensors in the header (`__index_timestep_zero__`: Edit-2511; `addition_t_embedding`: Layered);
4. the exact file name of a catalog row;
5. words in the file name, on word boundaries ("edit", "2509", "distill", "lightning", "4steps");
6. otherwise: the first release, base.

The user's choice of a file for a role outranks all of it; that is applied in planner.candidates.
"""

from __future__ import annotations

import re

from .catalog import CATALOG, catalog_rows, find_by_sha256, find_catalog_file
from .catalog_file import CatalogFile
from .detect_other import name_other_model
from .found_file import Identity
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from .memory import WRITING_HEAD
from .releases import (
    QWEN_IMAGE,
    QWEN_IMAGE_2512,
    QWEN_IMAGE_EDIT,
    QWEN_IMAGE_EDIT_2509,
    QWEN_IMAGE_EDIT_2511,
    QWEN_IMAGE_LAYERED,
    VAE_LAYERED,
    VAE_RGB,
)
from .request import RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8
from .safetensors_header import SafetensorsHeader
from .weight_format import detect_weight_format

DIFFUSION_PREFIXES = ("model.diffusion_model.", "model.", "net.", "")
WAN_VAE_BYTES = (253_815_318,)
_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")
_LORA_SUFFIX = re.compile(r"\.(lora_down|lora_up|lora_A|lora_B|lora\.down|lora\.up)\b")
_QWEN_ONLY_LORA_PARTS = ("img_mlp", "txt_mlp", "img_mod", "txt_mod")


class OtherModelError(ValueError):
    """An intact file that is not the kind of model the folder's role asks for; the message says what it is."""


def detect(role: str, name: str, size_bytes: int, header: SafetensorsHeader, sha256: str = "") -> Identity:
    """Identify one file of `role` from its header. `name` is the file's own name.

    Raises OtherModelError (another model) and ForeignFileError (a format that ComfyUI cannot load as it is).
    """
    if role == ROLE_DIFFUSION_MODEL:
        return _detect_diffusion_model(name, size_bytes, header, sha256)
    if role == ROLE_TEXT_ENCODER:
        return _detect_text_encoder(name, header)
    if role == ROLE_VAE:
        return _detect_vae(name, size_bytes, header)
    return _detect_lora(name, size_bytes, header, sha256)


def _detect_diffusion_model(name: str, size_bytes: int, header: SafetensorsHeader, sha256: str) -> Identity:
    prefix = next((p for p in DIFFUSION_PREFIXES if f"{p}txt_norm.weight" in header.tensors), None)
    if prefix is None and any(k.endswith(".qweight") for k in header.tensors):
        detect_weight_format(header)
    if prefix is None or f"{prefix}transformer_blocks.0.attn.add_q_proj.weight" not in header.tensors:
        raise OtherModelError(name_other_model(header, "a Qwen-Image diffusion model"))
    weight_format = detect_weight_format(header)
    row, evidence = _find_row(ROLE_DIFFUSION_MODEL, name, size_bytes, sha256)
    marked, marker = _release_marked(prefix, header)
    if evidence == "" and marked:
        row = row if row is not None and row.release == marked else None
        release, recipe, evidence = marked, _recipe_in_name(name), f"a marker tensor ({marker})"
    elif row is not None:
        release, recipe, evidence = row.release, row.recipe, evidence or "its file name"
    else:
        release, recipe, evidence = _release_in_name(name), _recipe_in_name(name), "words in its file name"
    modulation = 0
    blocks: dict[str, int] = {}
    for key, tensor in header.tensors.items():
        match = _BLOCK.search(key)
        if match is None:
            continue
        if ".img_mod." in key or ".txt_mod." in key:
            modulation += tensor.nbytes
        else:
            blocks[match[1]] = blocks.get(match[1], 0) + tensor.nbytes
    return Identity(
        ROLE_DIFFUSION_MODEL,
        weight_format,
        evidence,
        release=release,
        recipe=recipe,
        catalog_name=row.name if row else "",
        weight_bytes=header.weight_bytes,
        modulation_bytes=modulation,
        block_bytes=max(blocks.values(), default=0),
    )


def _release_marked(prefix: str, header: SafetensorsHeader) -> tuple[str, str]:
    """The release that a marker tensor names and that tensor's name, or two empty strings."""
    for marker, release in (
        ("__index_timestep_zero__", QWEN_IMAGE_EDIT_2511),
        ("time_text_embed.addition_t_embedding.weight", QWEN_IMAGE_LAYERED),
    ):
        if prefix + marker in header.tensors:
            return release, marker
    return "", ""


def _find_row(role: str, name: str, size_bytes: int, sha256: str) -> tuple[CatalogFile | None, str]:
    """The catalog row of a file. The evidence is "" where only the name speaks, because markers outrank a name."""
    row = find_by_sha256(sha256) if sha256 else None
    if row is not None and row.role == role:
        return row, "its sha256"
    same_size = [r for r in CATALOG if r.size_bytes == size_bytes]
    if len(same_size) == 1 and same_size[0].size_is_exact and same_size[0].role == role:
        return same_size[0], "its size in bytes"
    row = find_catalog_file(name)
    return (row, "") if row is not None and row.role == role else (None, "")


def _known_name(role: str, name: str) -> str:
    """`name` if it is that of a catalog file of this role, else "" (parts that one shape serves for every release)."""
    row = find_catalog_file(name)
    return name if row is not None and row.role == role else ""


def _words(name: str) -> str:
    return " " + re.sub(r"[^a-z0-9.]+", " ", name.lower().removesuffix(".safetensors")) + " "


def _has_number(name: str, number: str) -> bool:
    return re.search(rf"(?<!\d){number}(?!\d)", name) is not None


def _release_in_name(name: str) -> str:
    if _has_number(name, "2511"):
        return QWEN_IMAGE_EDIT_2511
    if _has_number(name, "2509"):
        return QWEN_IMAGE_EDIT_2509
    if _has_number(name, "2512"):
        return QWEN_IMAGE_2512
    if " edit " in _words(name):
        return QWEN_IMAGE_EDIT
    if " layered " in _words(name):
        return QWEN_IMAGE_LAYERED
    return QWEN_IMAGE


def _recipe_in_name(name: str) -> str:
    lower = name.lower()
    if re.search(r"4[-_ ]?steps?|rapid", lower):
        return RECIPE_LIGHTNING_4
    if re.search(r"8[-_ ]?steps?", lower):
        return RECIPE_LIGHTNING_8
    if "lightning" in lower:
        return RECIPE_LIGHTNING_4
    return RECIPE_DISTILLED if "distill" in lower else RECIPE_BASE


def _detect_text_encoder(name: str, header: SafetensorsHeader) -> Identity:
    bias = header.tensors.get("model.layers.0.self_attn.k_proj.bias")
    if bias is None or "model.embed_tokens.weight" not in header.tensors:
        raise OtherModelError(name_other_model(header, "the Qwen2.5-VL 7B text encoder"))
    if bias.shape == (256,):
        raise OtherModelError(
            "it is the 3B Qwen2.5-VL, which belongs to OmniGen2; Qwen-Image needs the 7B, "
            "qwen_2.5_vl_7b_fp8_scaled.safetensors"
        )
    if bias.shape != (512,):
        raise OtherModelError(f"it is a Qwen text encoder of another size (key width {bias.shape[0]}, not 512)")
    return Identity(
        ROLE_TEXT_ENCODER,
        detect_weight_format(header),
        "its tensor shapes (7B)",
        catalog_name=_known_name(ROLE_TEXT_ENCODER, name),
        weight_bytes=sum(tensor.nbytes for key, tensor in header.tensors.items() if not key.startswith(WRITING_HEAD)),
    )


def _detect_vae(name: str, size_bytes: int, header: SafetensorsHeader) -> Identity:
    conv = header.tensors.get("encoder.conv1.weight")
    is_wan_layout = "decoder.middle.0.residual.0.gamma" in header.tensors and conv is not None
    if not is_wan_layout or conv is None or "decoder.upsamples.0.upsamples.0.residual.2.weight" in header.tensors:
        raise OtherModelError(name_other_model(header, "the Qwen-Image VAE"))
    if size_bytes in WAN_VAE_BYTES or " wan" in _words(name):
        raise OtherModelError(
            "it is the Wan 2.1 VAE, built like the Qwen-Image VAE but trained for video; use qwen_image_vae.safetensors"
        )
    return Identity(
        ROLE_VAE,
        detect_weight_format(header),
        "its tensor shapes",
        vae_kind=VAE_LAYERED if conv.shape[1] == 4 else VAE_RGB,
        catalog_name=_known_name(ROLE_VAE, name),
        weight_bytes=header.weight_bytes,
    )


def _detect_lora(name: str, size_bytes: int, header: SafetensorsHeader, sha256: str) -> Identity:
    keys = [k for k in header.tensors if _LORA_SUFFIX.search(k)]
    if not any(part in key for key in keys for part in _QWEN_ONLY_LORA_PARTS):
        raise OtherModelError(name_other_model(header, "a Qwen-Image LoRA"))
    row, evidence = _find_row(ROLE_LORA, name, size_bytes, sha256)
    if row is None:
        row = _find_lightning_row(name)
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


def _find_lightning_row(name: str) -> CatalogFile | None:
    """The Lightning LoRA a renamed file is, by the words in its name: lightning, the step count and the release."""
    lower = name.lower()
    if "lightning" not in lower or not re.search(r"[48][-_ ]?steps?", lower):
        return None
    release, recipe = _release_in_name(name), _recipe_in_name(name)
    trained_on = "fp8_e4m3fn" if "fp8" in lower else "bf16"
    version = re.search(r"v(\d)\.(\d)", lower)
    rows = [
        row
        for row in catalog_rows(ROLE_LORA)
        if row.release == release and row.recipe == recipe and row.trained_on == trained_on
    ]
    same = [r for r in rows if version and r.version == (int(version[1]), int(version[2]))]
    return next(iter(same or rows), None)
