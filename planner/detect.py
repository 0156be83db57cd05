"""What a model file is, from its header, its name and its size; nothing is loaded.

Evidence for the release and the recipe, strongest first (each number has its rows in tests/test_detect.py):

1. a sha256 of the catalog (only known when a download or the user had the file hashed);
2. a size in bytes that one row of the catalog alone has;
3. marker tensors in the header (`__index_timestep_zero__`: Edit-2511; `addition_t_embedding`: Layered);
4. the exact file name of a catalog row;
5. words in the file name ("edit", "2509", "distill", "lightning", "4steps", also in "QwenEdit"), for the release else
   in its folders';
6. otherwise: the first release, base, and no evidence.

The user's choice of a file for a role outranks all of it; that is applied in planner.candidates.
"""

from __future__ import annotations

import re

from .detect_lora import detect_lora
from .detect_other import MisplacedFileError, OtherModelError, name_other_model
from .find_row import find_named_row, find_row
from .found_file import Identity
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_TEXT_ENCODER, ROLE_VAE, ROLES
from .memory import WRITING_HEAD
from .name_words import recipe_in_name, release_in_name, words_of
from .releases import QWEN_IMAGE, QWEN_IMAGE_EDIT_2511, QWEN_IMAGE_LAYERED, VAE_LAYERED, VAE_RGB
from .request import RECIPE_BASE
from .safetensors_header import ForeignFileError, SafetensorsHeader
from .weight_format import detect_weight_format, has_comfy_quant

DIFFUSION_PREFIXES = ("model.diffusion_model.", "model.", "net.", "")
WAN_VAE_BYTES = (253_815_318,)
_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")


def detect(role: str, name: str, size_bytes: int, header: SafetensorsHeader, sha256: str = "") -> Identity:
    """Identify one file of `role` from its header. `name` is how ComfyUI lists it, with "/" between folders.

    Raises OtherModelError (another model; MisplacedFileError if it serves another role) and ForeignFileError (a format
    that ComfyUI cannot load as it is).
    """
    try:
        return _detect_as(role, name, size_bytes, header, sha256)
    except OtherModelError as error:
        for other in ROLES:
            if other != role and _is_a(other, name, size_bytes, header):
                raise MisplacedFileError(other) from error
        raise


def _is_a(role: str, name: str, size_bytes: int, header: SafetensorsHeader) -> bool:
    try:
        _detect_as(role, name, size_bytes, header, "")
    except (OtherModelError, ForeignFileError):
        return False
    return True


def _detect_as(role: str, name: str, size_bytes: int, header: SafetensorsHeader, sha256: str) -> Identity:
    if role == ROLE_DIFFUSION_MODEL:
        return _detect_diffusion_model(name, size_bytes, header, sha256)
    own = name.rpartition("/")[2]
    if role == ROLE_TEXT_ENCODER:
        return _detect_text_encoder(own, header)
    if role == ROLE_VAE:
        return _detect_vae(own, size_bytes, header)
    return detect_lora(name, size_bytes, header, sha256)


def _detect_diffusion_model(listed: str, size_bytes: int, header: SafetensorsHeader, sha256: str) -> Identity:
    name = listed.rpartition("/")[2]
    prefix = next((p for p in DIFFUSION_PREFIXES if f"{p}txt_norm.weight" in header.tensors), None)
    if prefix is None and any(k.endswith(".qweight") for k in header.tensors):
        detect_weight_format(header)
    if prefix is None or f"{prefix}transformer_blocks.0.attn.add_q_proj.weight" not in header.tensors:
        raise OtherModelError(name_other_model(header, "a Qwen-Image diffusion model"))
    weight_format = detect_weight_format(header)
    row, evidence = find_row(ROLE_DIFFUSION_MODEL, name, size_bytes, sha256)
    marked, marker = _release_marked(prefix, header)
    if evidence == "" and marked:
        row = row if row is not None and row.release == marked else None
        release, recipe, evidence = marked, recipe_in_name(name), f"a marker tensor ({marker})"
        says_release = True
    elif row is not None:
        release, recipe, evidence = row.release, row.recipe, evidence or "its file name"
        says_release = True
    else:
        words, recipe = release_in_name(listed), recipe_in_name(name)
        says_release = bool(words)
        release, evidence = words or QWEN_IMAGE, "words in its file name" if words or recipe != RECIPE_BASE else ""
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
        has_comfy_quant=has_comfy_quant(header),
        lacks_marker=release == QWEN_IMAGE_EDIT_2511 and not marked,
        says_release=says_release,
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
        width = "x".join(map(str, bias.shape))
        raise OtherModelError(f"it is a Qwen text encoder of another size (key width {width or 1}, not 512)")
    weight_format, row = detect_weight_format(header), find_named_row(ROLE_TEXT_ENCODER, name)
    return Identity(
        ROLE_TEXT_ENCODER,
        weight_format,
        "its tensor shapes (7B)",
        catalog_name=row.name if row else "",
        has_comfy_quant=has_comfy_quant(header),
        weight_bytes=sum(tensor.nbytes for key, tensor in header.tensors.items() if not key.startswith(WRITING_HEAD)),
    )


def _detect_vae(name: str, size_bytes: int, header: SafetensorsHeader) -> Identity:
    conv = header.tensors.get("encoder.conv1.weight")
    is_wan_layout = "decoder.middle.0.residual.0.gamma" in header.tensors and conv is not None and len(conv.shape) > 1
    if not is_wan_layout or conv is None or "decoder.upsamples.0.upsamples.0.residual.2.weight" in header.tensors:
        raise OtherModelError(name_other_model(header, "the Qwen-Image VAE"))
    if size_bytes in WAN_VAE_BYTES or " wan" in words_of(name):
        raise OtherModelError(
            "it is the Wan 2.1 VAE, built like the Qwen-Image VAE but trained for video; use qwen_image_vae.safetensors"
        )
    vae_kind, row = VAE_LAYERED if conv.shape[1] == 4 else VAE_RGB, find_named_row(ROLE_VAE, name)
    return Identity(
        ROLE_VAE,
        detect_weight_format(header),
        "its tensor shapes",
        vae_kind=vae_kind,
        catalog_name=row.name if row and row.vae_kind == vae_kind else "",
        weight_bytes=header.weight_bytes,
    )
