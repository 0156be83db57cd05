"""Every model file this pack knows, as frozen rows, best first within a role, and how to look one up.

To add a file: one row here and one golden header (tests/golden_headers). Facts were read in the repositories' public
manifests and the official templates as of 2026-11.
"""

from __future__ import annotations

from typing import Any

from .catalog_file import CatalogFile
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from .releases import (
    QWEN_IMAGE,
    QWEN_IMAGE_2512,
    QWEN_IMAGE_EDIT,
    QWEN_IMAGE_EDIT_2509,
    QWEN_IMAGE_EDIT_2511,
    QWEN_IMAGE_LAYERED,
    VAE_LAYERED,
)
from .request import RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8

COMFY = "Comfy-Org/Qwen-Image_ComfyUI"
COMFY_EDIT = "Comfy-Org/Qwen-Image-Edit_ComfyUI"
COMFY_LAYERED = "Comfy-Org/Qwen-Image-Layered_ComfyUI"
LIGHTNING = "lightx2v/Qwen-Image-Lightning"
LIGHTNING_2512 = "lightx2v/Qwen-Image-2512-Lightning"
LIGHTNING_2511 = "lightx2v/Qwen-Image-Edit-2511-Lightning"
DISTILL_LICENCE_NOTE = "base Apache-2.0; distilled by DiffSynth-Studio, licence of the derivative not verified"


def _row(
    name: str, role: str, repo: str, path_prefix: str, weight_format: str, size_bytes: int, **facts: Any
) -> CatalogFile:
    return CatalogFile(name, role, repo, path_prefix + name, weight_format, size_bytes, **facts)


# fmt: off
CATALOG: tuple[CatalogFile, ...] = (
    _row("qwen_image_fp8_e4m3fn.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/",
         "fp8_e4m3fn", 20_430_635_136, release=QWEN_IMAGE, size_is_exact=True,
         sha256="98763a127701eb6fb59096f7742cb3aa7d64ed510b9f4e882d8351f8176e3ce3",
         source="ComfyUI template image_qwen_image"),
    _row("qwen_image_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/", "bf16",
         40_861_031_488, release=QWEN_IMAGE),
    _row("qwen_image_fp8mixed.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/", "fp8_scaled",
         20_530_000_000, release=QWEN_IMAGE),
    _row("qwen_image_nvfp4.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/", "nvfp4",
         19_769_000_000, release=QWEN_IMAGE),
    _row("qwen_image_2512_fp8_e4m3fn.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/",
         "fp8_e4m3fn", 20_430_679_144, release=QWEN_IMAGE_2512, size_is_exact=True,
         sha256="5dc80554d5d83390046a2f4a94ece06afb7700bf7b0aaf8bde9769793875876b",
         source="ComfyUI template image_qwen_Image_2512"),
    _row("qwen_image_2512_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "split_files/diffusion_models/", "bf16",
         40_861_031_488, release=QWEN_IMAGE_2512, size_is_exact=True),
    _row("qwen_image_distill_full_fp8_e4m3fn.safetensors", ROLE_DIFFUSION_MODEL, COMFY,
         "non_official/diffusion_models/", "fp8_e4m3fn", 20_430_635_136, release=QWEN_IMAGE, recipe=RECIPE_DISTILLED,
         licence_note=DISTILL_LICENCE_NOTE, size_is_exact=True,
         sha256="a1d50aa60140f156fc2fae6b4b370c95fde65d5d3485dbbd7a1b387fd7ae8612",
         source="ComfyUI docs, Qwen-Image tutorial"),
    _row("qwen_image_distill_full_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY, "non_official/diffusion_models/",
         "bf16", 40_861_031_488, release=QWEN_IMAGE, recipe=RECIPE_DISTILLED, licence_note=DISTILL_LICENCE_NOTE,
         source="ComfyUI docs, Qwen-Image tutorial"),
    _row("qwen_image_fp8_e4m3fn_scaled.safetensors", ROLE_DIFFUSION_MODEL, LIGHTNING, "Qwen-Image/", "fp8_scaled",
         20_430_000_000, release=QWEN_IMAGE, source="lightx2v/Qwen-Image-Lightning README"),
    _row("qwen_image_2512_fp8_e4m3fn_scaled_comfyui_4steps_v1.0.safetensors", ROLE_DIFFUSION_MODEL, LIGHTNING_2512, "",
         "fp8_scaled", 20_440_000_000, release=QWEN_IMAGE_2512, recipe=RECIPE_LIGHTNING_4,
         source="lightx2v/Qwen-Image-2512-Lightning README"),
    _row("qwen_image_edit_fp8_e4m3fn.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/",
         "fp8_e4m3fn", 20_430_635_136, release=QWEN_IMAGE_EDIT, size_is_exact=True,
         sha256="393c6743d1de2e9031b5197027b36116f2096958ccc0223526d34e1860266021",
         source="ComfyUI template image_qwen_image_edit"),
    _row("qwen_image_edit_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/", "bf16",
         40_861_031_488, release=QWEN_IMAGE_EDIT),
    _row("qwen_image_edit_2509_fp8_e4m3fn.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT,
         "split_files/diffusion_models/", "fp8_e4m3fn", 20_430_635_136, release=QWEN_IMAGE_EDIT_2509,
         size_is_exact=True, source="ComfyUI template image_qwen_image_edit_2509"),
    _row("qwen_image_edit_2509_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/",
         "bf16", 40_861_031_488, release=QWEN_IMAGE_EDIT_2509, size_is_exact=True),
    _row("qwen_image_edit_2509_fp8mixed.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/",
         "fp8_scaled", 20_530_000_000, release=QWEN_IMAGE_EDIT_2509),
    _row("qwen_image_edit_2511_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/",
         "bf16", 40_861_031_560, release=QWEN_IMAGE_EDIT_2511, size_is_exact=True,
         sha256="ae42d927b5fac4f278b9a894554c727e619727a63622976f2d95625be4bce08c",
         source="ComfyUI template inflation"),
    _row("qwen_image_edit_2511_fp8mixed.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT, "split_files/diffusion_models/",
         "fp8_scaled", 20_533_762_817, release=QWEN_IMAGE_EDIT_2511, size_is_exact=True,
         sha256="c9fdc158e46d3b61ef75f21ae866ca2fe808bf4a53643120d1c1e87c19280a4e",
         source="ComfyUI template image_qwen_image_edit_2511"),
    _row("qwen_image_edit_2511_int8_convrot.safetensors", ROLE_DIFFUSION_MODEL, COMFY_EDIT,
         "split_files/diffusion_models/", "int8_convrot", 20_499_083_824, release=QWEN_IMAGE_EDIT_2511,
         size_is_exact=True, sha256="11b5af5ac601821d73930c84846c9a158e67177356daf927ce1c8d10f3963829",
         source="ComfyUI template image_qwen_image_edit_2511_int8"),
    _row("qwen_image_layered_bf16.safetensors", ROLE_DIFFUSION_MODEL, COMFY_LAYERED, "split_files/diffusion_models/",
         "bf16", 40_860_000_000, release=QWEN_IMAGE_LAYERED, source="ComfyUI template image_qwen_image_layered"),
    _row("qwen_image_layered_fp8mixed.safetensors", ROLE_DIFFUSION_MODEL, COMFY_LAYERED,
         "split_files/diffusion_models/", "fp8_scaled", 20_530_000_000, release=QWEN_IMAGE_LAYERED),
    _row("qwen_2.5_vl_7b_fp8_scaled.safetensors", ROLE_TEXT_ENCODER, COMFY, "split_files/text_encoders/", "fp8_scaled",
         9_384_670_680, size_is_exact=True, sha256="cb5636d852a0ea6a9075ab1bef496c0db7aef13c02350571e388aea959c5c0b4"),
    _row("qwen_2.5_vl_7b.safetensors", ROLE_TEXT_ENCODER, COMFY, "split_files/text_encoders/", "bf16", 16_584_415_576,
         size_is_exact=True),
    _row("qwen_2.5_vl_7b_nvfp4.safetensors", ROLE_TEXT_ENCODER, COMFY, "split_files/text_encoders/", "nvfp4",
         6_110_000_000),
    _row("qwen_image_vae.safetensors", ROLE_VAE, COMFY, "split_files/vae/", "bf16", 253_806_246, size_is_exact=True,
         sha256="a70580f0213e67967ee9c95f05bb400e8fb08307e017a924bf3441223e023d1f"),
    _row("qwen_image_layered_vae.safetensors", ROLE_VAE, COMFY_LAYERED, "split_files/vae/", "bf16", 253_860_000,
         vae_kind=VAE_LAYERED),
    _row("Qwen-Image-Lightning-8steps-V2.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(2, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-8steps-V2.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(2, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-8steps-V1.1-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 1),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-8steps-V1.1.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 1),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-8steps-V1.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0), size_is_exact=True,
         sha256="07b5a999881437f63124979844ba1949ce2438f65b6220628a196a7d30a4fff9",
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-4steps-V2.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(2, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-4steps-V2.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(2, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-4steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Lightning-4steps-V1.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-fp8-e4m3fn-Lightning-4steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING, "", "fp32",
         1_698_951_104, release=QWEN_IMAGE, recipe=RECIPE_LIGHTNING_4, trained_on="fp8_e4m3fn", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-2512-Lightning-8steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING_2512, "", "bf16", 849_608_296,
         release=QWEN_IMAGE_2512, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-2512-Lightning README"),
    _row("Qwen-Image-2512-Lightning-8steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING_2512, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE_2512, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-2512-Lightning README"),
    _row("Qwen-Image-2512-Lightning-4steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING_2512, "", "bf16", 849_608_296,
         release=QWEN_IMAGE_2512, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0), size_is_exact=True,
         sha256="de0d236e54ecf2c43b32447d13478c6eae0d361b1fed48c69675b084fa240d87",
         source="lightx2v/Qwen-Image-2512-Lightning README"),
    _row("Qwen-Image-2512-Lightning-4steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING_2512, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE_2512, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0), size_is_exact=True,
         sha256="ad12117461cb41e2ea637fec8df6392ce8e8550c47fbe2b829ed3deb98262066",
         source="lightx2v/Qwen-Image-2512-Lightning README"),
    _row("Qwen-Image-Edit-Lightning-8steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE_EDIT, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-Lightning-8steps-V1.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE_EDIT, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "", "bf16", 849_608_296,
         release=QWEN_IMAGE_EDIT, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0), size_is_exact=True,
         sha256="d8132c32e7df906603dd6b072ff2fb0af88ab15ef0f3ac697a2011c8b47bbeb1",
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-Lightning-4steps-V1.0.safetensors", ROLE_LORA, LIGHTNING, "", "fp32", 1_698_951_104,
         release=QWEN_IMAGE_EDIT, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "Qwen-Image-Edit-2509/",
         "bf16", 849_608_296, release=QWEN_IMAGE_EDIT_2509, recipe=RECIPE_LIGHTNING_8, trained_on="bf16",
         version=(1, 0), source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-2509-Lightning-8steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING, "Qwen-Image-Edit-2509/",
         "fp32", 1_698_951_104, release=QWEN_IMAGE_EDIT_2509, recipe=RECIPE_LIGHTNING_8, trained_on="bf16",
         version=(1, 0), source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING, "Qwen-Image-Edit-2509/",
         "bf16", 849_608_296, release=QWEN_IMAGE_EDIT_2509, recipe=RECIPE_LIGHTNING_4, trained_on="bf16",
         version=(1, 0), source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-2509-Lightning-4steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING, "Qwen-Image-Edit-2509/",
         "fp32", 1_698_951_104, release=QWEN_IMAGE_EDIT_2509, recipe=RECIPE_LIGHTNING_4, trained_on="bf16",
         version=(1, 0), source="lightx2v/Qwen-Image-Lightning README"),
    _row("Qwen-Image-Edit-2511-Lightning-8steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING_2511, "", "bf16",
         849_608_296, release=QWEN_IMAGE_EDIT_2511, recipe=RECIPE_LIGHTNING_8, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Edit-2511-Lightning README"),
    _row("Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors", ROLE_LORA, LIGHTNING_2511, "", "bf16",
         849_608_296, release=QWEN_IMAGE_EDIT_2511, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0),
         size_is_exact=True, sha256="22226e8d05d354bb356627d428809f5afd7819399b077238a2b70a82883a904f",
         source="lightx2v/Qwen-Image-Edit-2511-Lightning README"),
    _row("Qwen-Image-Edit-2511-Lightning-4steps-V1.0-fp32.safetensors", ROLE_LORA, LIGHTNING_2511, "", "fp32",
         1_698_951_104, release=QWEN_IMAGE_EDIT_2511, recipe=RECIPE_LIGHTNING_4, trained_on="bf16", version=(1, 0),
         source="lightx2v/Qwen-Image-Edit-2511-Lightning README"),
)
# fmt: on

_BY_NAME = {row.name: row for row in CATALOG}
_BY_SHA256 = {row.sha256: row for row in CATALOG if row.sha256}


def find_catalog_file(name: str) -> CatalogFile | None:
    """The row whose file name is `name` (case-sensitive, no folders), or None."""
    return _BY_NAME.get(name)


def get_catalog_file(name: str) -> CatalogFile:
    """The row whose file name is `name`. Raises KeyError."""
    return _BY_NAME[name]


def find_by_sha256(sha256: str) -> CatalogFile | None:
    """The row with this sha256 (lower-case hex), or None."""
    return _BY_SHA256.get(sha256)


def catalog_rows(role: str) -> tuple[CatalogFile, ...]:
    """All rows of a role, in order of preference."""
    return tuple(row for row in CATALOG if row.role == role)
