"""Names for models that lie in the right folder but are not Qwen-Image, so that a message can say what a file is."""

from __future__ import annotations

from .catalog_file import FOLDERS
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from .safetensors_header import SafetensorsHeader


class OtherModelError(ValueError):
    """An intact file that is not the kind of model the folder's role asks for; the message says what it is."""


class MisplacedFileError(OtherModelError):
    """A Qwen-Image file in the folder of another role; `role` is its own."""

    def __init__(self, role: str) -> None:
        super().__init__(f"it is {_TITLES[role]}: move it to models/{FOLDERS[role]}")
        self.role = role


_TITLES = {
    ROLE_DIFFUSION_MODEL: "a Qwen-Image diffusion model",
    ROLE_TEXT_ENCODER: "the Qwen2.5-VL 7B text encoder",
    ROLE_VAE: "the Qwen-Image VAE",
    ROLE_LORA: "a Qwen-Image LoRA",
}

# Specific before broad; each row: what the header must contain (substrings of keys), and what to call it.
_KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
    # Qwen-Image 2.1 has transformer_blocks too, but a shared modulation and no txt_norm.
    (("txt_in.text_norm.weight",), "Qwen-Image 2.1, which is another architecture and not supported by this node yet"),
    (("controlnet_blocks.0.",), "a ControlNet for Qwen-Image; load it with Load ControlNet Model"),
    (("deepstack_merger_list",), "the Qwen3-VL text encoder of Qwen-Image 2.1"),
    (("model.language_model.layers.0.linear_attn",), "a Qwen3.5 prompt enhancer, not a text encoder"),
    (("double_blocks.0.img_attn.",), "a Flux or HunyuanVideo model"),
    (("single_transformer_blocks.0.", "lora"), "a Flux LoRA"),
    (("lora_unet_double_blocks",), "a Flux LoRA"),
    (("lora_unet_down_blocks",), "an SD or SDXL LoRA"),
    (("lora_unet_input_blocks",), "an SD or SDXL LoRA"),
    (("blocks.0.cross_attn.", "lora"), "a Wan LoRA"),
    (("blocks.0.cross_attn.", "head.modulation"), "a Wan video model"),
    (("joint_blocks.0.",), "a Stable Diffusion 3 model"),
    (("label_emb.0.0.", "input_blocks."), "an SDXL model"),
    (("input_blocks.",), "a Stable Diffusion model"),
    (("decoder.conv_in.weight", "encoder.conv_in.weight"), "a Stable Diffusion or Flux VAE"),
    (("decoder.upsamples.0.upsamples.0.residual",), "the Wan 2.2 VAE"),
    (("text_model.encoder.layers.0.",), "a CLIP text encoder"),
    (("encoder.block.0.layer.0.SelfAttention",), "a T5 text encoder"),
    (("model.layers.0.self_attn.",), "another language model"),
    (("transformer_blocks.0.", "lora"), "a LoRA for another model"),
)


def name_other_model(header: SafetensorsHeader, wanted: str) -> str:
    """One clause for a message: what the file is instead of `wanted`, or that it is not known."""
    keys = header.tensors
    for parts, title in _KNOWN:
        if all(any(part in key for key in keys) for part in parts):
            return f"it is {title}, not {wanted}"
    return f"it is not {wanted} (none of the known tensor names are in it)"
