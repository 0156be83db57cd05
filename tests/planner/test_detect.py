"""A file is known by its header, size and name: each rule of planner.detect, and every catalog file's golden header."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from machines import golden_header, golden_size
from qwen_image_loader.planner.catalog import CATALOG, get_catalog_file
from qwen_image_loader.planner.catalog_file import CatalogFile
from qwen_image_loader.planner.detect import OtherModelError, detect
from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from qwen_image_loader.planner.safetensors_header import ForeignFileError, SafetensorsHeader, TensorInfo

FP8 = "qwen_image_fp8_e4m3fn.safetensors"
BF16 = "qwen_image_bf16.safetensors"
SHA_EDIT = get_catalog_file("qwen_image_edit_fp8_e4m3fn.safetensors").sha256


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_every_catalog_file_is_recognised_from_its_golden_header(row: CatalogFile) -> None:
    found = detect(row.role, row.name, golden_size(row.name), golden_header(row.name))
    assert found.catalog_name == row.name
    assert found.weight_format == row.weight_format
    if row.role in (ROLE_DIFFUSION_MODEL, ROLE_LORA):
        assert (found.release, found.recipe, found.trained_on) == (row.release, row.recipe, row.trained_on)
    if row.role == ROLE_VAE:
        assert found.vae_kind == row.vae_kind


@pytest.mark.parametrize("row", [r for r in CATALOG if r.size_is_exact], ids=lambda row: row.name)
def test_golden_headers_describe_files_of_the_published_size(row: CatalogFile) -> None:
    assert golden_size(row.name) == pytest.approx(row.size_bytes, rel=0.003)


def test_a_third_of_the_diffusion_model_is_modulation() -> None:
    found = detect(ROLE_DIFFUSION_MODEL, FP8, golden_size(FP8), golden_header(FP8))
    assert found.modulation_bytes == 6_796_984_320
    assert found.weight_bytes == 20_430_401_088


# (rule of detect's docstring, file name, size, header of, sha256) -> (release, recipe)
EVIDENCE = [
    ("1 sha256 beats name", "my_base.safetensors", 0, FP8, SHA_EDIT, ("Qwen-Image-Edit", "base")),
    ("2 a size only one file has", "x.safetensors", 20_430_679_144, FP8, "", ("Qwen-Image-2512", "base")),
    ("2 a size that several have says nothing", "x.safetensors", 20_430_635_136, FP8, "", ("Qwen-Image", "base")),
    (
        "3 marker beats name",
        FP8,
        0,
        "qwen_image_edit_2511_bf16.safetensors",
        "",
        ("Qwen-Image-Edit-2511", "base"),
    ),
    ("3 layered marker", "x.safetensors", 0, "qwen_image_layered_bf16.safetensors", "", ("Qwen-Image-Layered", "base")),
    ("4 exact name", "qwen_image_distill_full_bf16.safetensors", 0, BF16, "", ("Qwen-Image", "distilled")),
    ("5 word edit", "qwen-image-edit-q.safetensors", 0, FP8, "", ("Qwen-Image-Edit", "base")),
    ("5 edit inside a word is no word", "credited-model.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 number 2509", "Qwen_Edit_2509_v3.safetensors", 0, FP8, "", ("Qwen-Image-Edit-2509", "base")),
    ("5 number inside a number is none", "merge12509x.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 distill", "qwen_distill_mine.safetensors", 0, FP8, "", ("Qwen-Image", "distilled")),
    ("5 fused", "qwen_2512_lightning_4steps.safetensors", 0, FP8, "", ("Qwen-Image-2512", "Lightning 4 steps")),
    ("5 fused 8 steps", "qwen_8-steps_merge.safetensors", 0, FP8, "", ("Qwen-Image", "Lightning 8 steps")),
    ("5 camel case", "qwenImageEdit_v10.safetensors", 0, FP8, "", ("Qwen-Image-Edit", "base")),
    ("5 words written together", "qwenimageedit_v3.safetensors", 0, FP8, "", ("Qwen-Image-Edit", "base")),
    ("5 dots", "qwen.image.edit.fp8.safetensors", 0, FP8, "", ("Qwen-Image-Edit", "base")),
    ("5 its folder", "qwen-image-edit/model_fp8.safetensors", 0, FP8, "", ("Qwen-Image-Edit", "base")),
    ("5 its own name before its folder", "edit/qwen_2512.safetensors", 0, FP8, "", ("Qwen-Image-2512", "base")),
    ("4 exact name before its folder", f"edit/{BF16}", 0, BF16, "", ("Qwen-Image", "base")),
    ("5 24 steps are not 4", "myqwen_24steps.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 nor are 1234", "qwen-ft-1234-steps.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 undistilled", "qwen_undistilled.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 de-distilled", "qwen_de-distilled.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 rapid inside a word", "rapidash.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
    ("5 rapid", "Qwen-Rapid-AIO-v5.safetensors", 0, FP8, "", ("Qwen-Image", "Lightning 4 steps")),
    ("6 nothing known", "model.safetensors", 0, FP8, "", ("Qwen-Image", "base")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "name", "size", "header", "sha256", "expected"), EVIDENCE, ids=[e[0] for e in EVIDENCE]
)
def test_evidence_in_order_of_strength(
    rule: str, name: str, size: int, header: str, sha256: str, expected: tuple[str, str]
) -> None:
    found = detect(ROLE_DIFFUSION_MODEL, name, size or 123, golden_header(header), sha256)
    assert (found.release, found.recipe) == expected


def test_a_name_that_says_nothing_is_no_evidence() -> None:
    assert detect(ROLE_DIFFUSION_MODEL, "Jib_mix_qwen.safetensors", 123, golden_header(FP8)).evidence == ""
    assert detect(ROLE_DIFFUSION_MODEL, "qwen_image_mine.safetensors", 123, golden_header(FP8)).evidence
    recipe_alone = detect(ROLE_DIFFUSION_MODEL, "jibMixQwen_v4Lightning.safetensors", 123, golden_header(FP8))
    assert (recipe_alone.recipe, recipe_alone.says_release) == ("Lightning 4 steps", False)


def test_edit_2511_without_its_marker_is_noticed() -> None:
    marked = golden_header("qwen_image_edit_2511_bf16.safetensors")
    plain = golden_header("qwen_image_edit_2509_bf16.safetensors")
    name = "qwen_image_edit_2511_repack.safetensors"
    assert not detect(ROLE_DIFFUSION_MODEL, name, 123, marked).lacks_marker
    assert detect(ROLE_DIFFUSION_MODEL, name, 123, plain).lacks_marker


def changed(name: str, add: dict[str, TensorInfo] | None = None, drop: str = "") -> SafetensorsHeader:
    """A golden header with tensors added, or those dropped whose name contains `drop`."""
    header = golden_header(name)
    tensors = {key: t for key, t in header.tensors.items() if not drop or drop not in key}
    return replace(header, tensors={**tensors, **(add or {})})


def made_of(*names: str, shape: tuple[int, ...] = (8, 8)) -> SafetensorsHeader:
    return SafetensorsHeader({name: TensorInfo("BF16", shape, 128) for name in names})


def scale(ending: str) -> dict[str, TensorInfo]:
    return {f"transformer_blocks.0.attn.to_q.{ending}": TensorInfo("F32", (1,), 4)}


SCALE = {"transformer_blocks.0.attn.to_q.weight_scale": TensorInfo("F32", (1,), 4)}
QWEIGHT = {"transformer_blocks.0.attn.to_q.qweight": TensorInfo("I8", (8, 8), 64)}
ODD_QUANT = {
    "transformer_blocks.0.attn.to_q.comfy_quant": TensorInfo("U8", (30,), 30),
    "transformer_blocks.0.attn.to_q.weight": TensorInfo("I32", (10**6, 10**5), 4 * 10**11),
}
BIAS_3B = {"model.layers.0.self_attn.k_proj.bias": TensorInfo("BF16", (256,), 512)}
TEXT = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
VAE = "qwen_image_vae.safetensors"

TO_Q = "transformer_blocks.0.attn.to_q"
LYCORIS_Q = "transformer_blocks_0_attn_to_q"
TO_Q_A = f"{TO_Q}.lora_A.weight"
FLUX_FF = "transformer_blocks.0.ff.net.2.lora_A.weight"
KOHYA_FLUX = "lora_unet_double_blocks_0_img_mlp_0"

REFUSED = [
    ("foreign scaled fp8", ROLE_DIFFUSION_MODEL, changed(FP8, SCALE), ForeignFileError, "not marked for ComfyUI"),
    *(
        (f"fp8 with {end}", ROLE_DIFFUSION_MODEL, changed(FP8, scale(end)), ForeignFileError, "not marked for ComfyUI")
        for end in ("scale_weight", "weight_scale_inv", "weight_scales", "wscales")
    ),
    ("nunchaku", ROLE_DIFFUSION_MODEL, changed(FP8, QWEIGHT), ForeignFileError, "ComfyUI-nunchaku"),
    ("odd quantization", ROLE_DIFFUSION_MODEL, changed(BF16, ODD_QUANT), ForeignFileError, "I32, a quantization"),
    ("Qwen-Image 2.1", ROLE_DIFFUSION_MODEL, made_of("txt_in.text_norm.weight"), OtherModelError, "2.1"),
    ("Flux", ROLE_DIFFUSION_MODEL, made_of("double_blocks.0.img_attn.qkv.weight"), OtherModelError, "Flux"),
    ("SDXL", ROLE_DIFFUSION_MODEL, made_of("label_emb.0.0.weight", "input_blocks.1.0.x"), OtherModelError, "SDXL"),
    ("Wan", ROLE_DIFFUSION_MODEL, made_of("blocks.0.cross_attn.k.weight", "head.modulation"), OtherModelError, "Wan"),
    ("unknown", ROLE_DIFFUSION_MODEL, made_of("something.weight"), OtherModelError, "not a Qwen-Image diffusion model"),
    ("3B encoder", ROLE_TEXT_ENCODER, changed(TEXT, BIAS_3B), OtherModelError, "OmniGen2"),
    ("T5", ROLE_TEXT_ENCODER, made_of("encoder.block.0.layer.0.SelfAttention.k.weight"), OtherModelError, "T5"),
    ("SD VAE", ROLE_VAE, made_of("decoder.conv_in.weight", "encoder.conv_in.weight"), OtherModelError, "Stable Diff"),
    ("Flux LoRA", ROLE_LORA, made_of("single_transformer_blocks.0.x.lora_A.weight"), OtherModelError, "Flux LoRA"),
    ("Flux LoRA of kohya", ROLE_LORA, made_of(f"{KOHYA_FLUX}.lora_down.weight"), OtherModelError, "Flux LoRA"),
    ("Flux LoRA, double blocks", ROLE_LORA, made_of(TO_Q_A, FLUX_FF, shape=(4, 3072)), OtherModelError, "another"),
    ("SD3 LoRA", ROLE_LORA, made_of(f"transformer.{TO_Q}.lora_A.weight", shape=(4, 2432)), OtherModelError, "another"),
    ("SDXL LoRA", ROLE_LORA, made_of("lora_unet_down_blocks_1.lora_down.weight"), OtherModelError, "SDXL LoRA"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "role", "header", "error", "says"), REFUSED, ids=[r[0] for r in REFUSED])
def test_other_models_are_named_in_the_refusal(
    case: str, role: str, header: SafetensorsHeader, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        detect(role, "file.safetensors", 1, header)


QWEN_LORAS = [
    ("attention alone, diffusers", made_of(f"transformer.{TO_Q}.lora_A.weight", shape=(4, 3072))),
    ("LoKr of ai-toolkit", made_of(f"diffusion_model.{TO_Q}.lokr_w1", f"diffusion_model.{TO_Q}.lokr_w2")),
    ("LoKr of SimpleTuner", made_of(f"lycoris_{LYCORIS_Q}.lokr_w1", f"lycoris_{LYCORIS_Q}.lokr_w2_a")),
    ("LoHa", made_of(f"lycoris_{LYCORIS_Q}.hada_w1_a", shape=(3072, 8))),
    ("kohya", made_of("lora_unet_transformer_blocks_0_img_mlp_net_2.lora_down.weight")),
    ("MLP alone", made_of("transformer_blocks.0.txt_mlp.net.2.lora_A.default.weight")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "header"), QWEN_LORAS, ids=[q[0] for q in QWEN_LORAS])
def test_loras_of_every_trainer_are_known_by_their_layers(kind: str, header: SafetensorsHeader) -> None:
    if "LoKr" in kind:  # the widths of its two factors multiply to the model's
        first, second = header.tensors
        sizes = {first: TensorInfo("BF16", (4, 4), 32), second: TensorInfo("BF16", (768, 8), 12288)}
        header = replace(header, tensors=sizes)
    assert detect(ROLE_LORA, "my_style.safetensors", 1, header).recipe == ""


def test_a_lightning_lora_stored_in_fp8_keeps_its_steps() -> None:
    header = golden_header("Qwen-Image-Lightning-8steps-V1.0.safetensors")
    found = detect(ROLE_LORA, "Qwen-Image-Lightning-8steps-V2.0-fp8.safetensors", 1, header)
    assert (found.recipe, found.version) == ("Lightning 8 steps", (2, 0))
    edit = detect(ROLE_LORA, "qwen-image-edit/Lightning-4steps-V1.0-bf16.safetensors", 1, header)
    assert edit.release == "Qwen-Image-Edit"


def test_mxfp8_is_told_from_nvfp4_by_its_weights() -> None:
    header = golden_header("qwen_image_fp8mixed.safetensors")
    block_scale = {f"{TO_Q}.weight_scale": TensorInfo("U8", (3072, 96), 3072 * 96)}
    found = detect(ROLE_DIFFUSION_MODEL, "x.safetensors", 1, replace(header, tensors=header.tensors | block_scale))
    assert found.weight_format == "mxfp8"


def test_a_vae_is_known_by_its_shape_before_its_name() -> None:
    layered = golden_header("qwen_image_layered_vae.safetensors")
    found = detect(ROLE_VAE, VAE, 1, layered)
    assert (found.vae_kind, found.catalog_name) == ("layered", "")


def test_a_wan_vae_is_told_from_the_qwen_vae_by_its_size_or_name() -> None:
    for name, size in (("wan_2.1_vae.safetensors", 1), ("vae.safetensors", 253_815_318)):
        with pytest.raises(OtherModelError, match=r"Wan 2\.1 VAE"):
            detect(ROLE_VAE, name, size, golden_header(VAE))
    assert detect(ROLE_VAE, "taiwan_vae.safetensors", 1, golden_header(VAE)).vae_kind == "rgb"


def test_a_checkpoint_prefix_does_not_hide_the_model() -> None:
    header = golden_header(FP8)
    prefixed = replace(header, tensors={f"model.diffusion_model.{k}": t for k, t in header.tensors.items()})
    assert detect(ROLE_DIFFUSION_MODEL, "x.safetensors", 1, prefixed).weight_format == "fp8_e4m3fn"


def test_a_renamed_lightning_lora_is_known_by_the_words_in_its_name() -> None:
    header = golden_header("Qwen-Image-Lightning-8steps-V1.0.safetensors")
    found = detect(ROLE_LORA, "qwen 2512 LIGHTNING 4steps v1.0 fp32 copy.safetensors", 1, header)
    assert (found.release, found.recipe, found.trained_on) == ("Qwen-Image-2512", "Lightning 4 steps", "bf16")
    style = detect(ROLE_LORA, "my_style.safetensors", 1, header)
    assert (style.release, style.recipe) == ("", "")
