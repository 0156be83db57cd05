"""Byte arithmetic: what stays on the device, what is moved per step, what is in RAM; for encode, sample, decode."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .hardware import GIB, KIND_CPU, Hardware
from .load_plan import StagePlan

MIB = 1024**2
# ComfyUI 0.33.0, model_base.BaseModel.memory_required with supported_models.QwenImage.memory_usage_factor = 1.8:
# latent area x bytes a value x 0.01 x factor, in MiB; with attention of other kinds latent area x 0.15 x factor.
SAMPLE_MIB_PER_LATENT_BYTE = 0.01 * 1.8
SAMPLE_MIB_PER_LATENT_WITHOUT_ATTENTION = 0.15 * 1.8
# Bytes a pixel and value byte. Measured on one H100 at 1328 x 1328 (bench/EARLIER.md): the peak without limits less the
# weights of all three models, so CUDA's own memory is in it. ComfyUI asks for 2200 (sd.VAE, Wan 2.1 layout) and makes
# that much room, but decodes in tiles only when memory did run out; with 6 GiB it did not.
DECODE_BYTES_PER_PIXEL = 770
VAE_SCALE = 8
# Working memory of the text encoder for a prompt of some hundred tokens; estimate, small beside its weights.
ENCODE_ACTIVATION_BYTES = 256 * MIB
# The modulation table: 60 blocks x 2 layers x 18432 values (catalog.json, layers), a timestep.
TABLE_VALUES_PER_STEP = 60 * 2 * 18432
# Of the text encoder's file, for writing text; ComfyUI 0.33.0 does not load it (text_encoders.llama, lm_head=False).
WRITING_HEAD = "lm_head."
WRITING_HEAD_BYTES = 152_064 * 3_584 * 2  # tokens x width in bf16, in every format of the catalog
MODULATION_SHARE = 6_796_984_320 / 20_430_401_088
BLOCKS = 60
STREAM_BUFFERS = 2  # the host's offload streams, each holding one block
FP32_BYTES = 4
WEIGHTS_SHARE = 0.88  # of a card, for weights (model_management.maximum_vram_for_weights)
PLAIN_FORMATS = {  # bytes a value, and torch's name
    "bf16": (2, "bfloat16"),
    "fp16": (2, "float16"),
    "fp8_e4m3fn": (1, "float8_e4m3fn"),
    "fp8_e5m2": (1, "float8_e5m2"),
}
HOST_RAM_BYTES = 3 * GIB  # the operating system, Python, PyTorch and ComfyUI themselves; estimate


def gib(n_bytes: int | float) -> str:
    """A byte count for a message: "19.0 GiB", or "242 MiB" below one GiB."""
    if abs(n_bytes) < GIB:
        return f"{n_bytes / MIB:.0f} MiB"
    return f"{n_bytes / GIB:.1f} GiB"


@dataclass(frozen=True, slots=True)
class Weights:
    """The bytes of one model's tensors. `modulation_bytes` and `block_bytes` are 0 for all but diffusion models."""

    weight_bytes: int
    modulation_bytes: int = 0
    block_bytes: int = 0

    @staticmethod
    def of_catalog_size(size_bytes: int) -> Weights:
        """The split of a full Qwen-Image diffusion model that is not on disk yet, from its file size."""
        modulation = int(size_bytes * MODULATION_SHARE)
        return Weights(size_bytes, modulation, (size_bytes - modulation) // BLOCKS)

    def times(self, factor: int) -> Weights:
        """The same model with values so many times as large."""
        return Weights(self.weight_bytes * factor, self.modulation_bytes * factor, self.block_bytes * factor)

    def without_modulation(self) -> Weights:
        """The same model with its modulation layers replaced by a table."""
        return Weights(self.weight_bytes - self.modulation_bytes, 0, self.block_bytes)


def as_held(weights: Weights, weight_format: str, hardware: Hardware) -> Weights:
    """A diffusion model as ComfyUI holds it by itself (model_management.unet_dtype, 0.33.0), which may be larger.

    A processor gets fp32 of plain weights, whatever its RAM. A card that cannot multiply in fp8 gets the precision that
    it computes in of a plain fp8 file, where its whole memory would hold twice the file.
    """
    value_bytes, _ = PLAIN_FORMATS.get(weight_format, (FP32_BYTES, ""))
    held_bytes = value_bytes
    if hardware.kind == KIND_CPU:
        held_bytes = FP32_BYTES
    elif value_bytes == 1 and not hardware.multiplies_fp8:
        room = hardware.vram_total_bytes * WEIGHTS_SHARE - hardware.vram_reserved_bytes
        if 2 * weights.weight_bytes <= room:
            held_bytes = 2 if hardware.supports_bf16 else FP32_BYTES
    return weights.times(held_bytes // value_bytes)


def dtype_of_file(weight_format: str) -> str:
    """Torch's name of the dtype that plain weights have in the file, "" of all others."""
    return PLAIN_FORMATS.get(weight_format, (0, ""))[1]


def usable_vram_bytes(hardware: Hardware, limit_bytes: int = 0) -> int:
    """Device bytes that weights and activations may take together: the card's total, or the limit, less the reserve."""
    reserve = HOST_RAM_BYTES if hardware.one_memory else hardware.vram_reserved_bytes
    return max(0, _card_bytes(hardware, limit_bytes) - reserve)


def _card_bytes(hardware: Hardware, limit_bytes: int) -> int:
    """The card's memory, or the limit where that is less; a limit of 0 is none, and one memory has no card to limit."""
    limited = limit_bytes and not hardware.one_memory
    return min(hardware.vram_total_bytes, limit_bytes) if limited else hardware.vram_total_bytes


def sample_activation_bytes(pixels: int, hardware: Hardware) -> int:
    """Working memory of one step, in bytes; `pixels` of the picture, its layers and its reference pictures.

    When memory is short, cond and uncond run one by one.
    """
    area = pixels // VAE_SCALE**2
    if not hardware.efficient_attention:
        return int(area * SAMPLE_MIB_PER_LATENT_WITHOUT_ATTENTION * MIB)
    value_bytes = 2 if hardware.supports_bf16 else 4
    return int(area * value_bytes * SAMPLE_MIB_PER_LATENT_BYTE * MIB)


def is_resident(weights: Weights, activation_bytes: int, usable_bytes: int) -> bool:
    """True if all weights stay on the device beside the activations."""
    return weights.weight_bytes + activation_bytes <= usable_bytes


def sample_stage(
    weights: Weights, activation_bytes: int, usable_bytes: int, hardware: Hardware, *, steps: int, has_table: bool
) -> StagePlan:
    """Memory while sampling; `streamed_bytes` are moved on every step."""
    table = TABLE_VALUES_PER_STEP * (2 if hardware.supports_bf16 else 4) * steps if has_table else 0
    working = activation_bytes + table
    if hardware.one_memory or is_resident(weights, working, usable_bytes):
        resident, buffers = weights.weight_bytes, 0
        note = "all weights stay on the device"
    else:
        buffers = STREAM_BUFFERS * weights.block_bytes
        resident = max(0, min(weights.weight_bytes, usable_bytes - working - buffers))
        note = "weights that do not fit are moved to the device on every step"
    streamed = weights.weight_bytes - resident
    return StagePlan(
        "sample",
        "cpu" if hardware.kind == KIND_CPU else "gpu",
        resident,
        streamed,
        working,
        resident + working + buffers,
        0 if hardware.one_memory else streamed,
        note,
        buffers,
    )


def with_kept_models(stage: StagePlan, kept_bytes: int, hardware: Hardware, limit_bytes: int) -> StagePlan:
    """A stage with what dynamic VRAM leaves on the card: the models used before it stay while there is room.

    Measured on one H100 (bench/EARLIER.md): the peak is the whole card where it is small, all models where it is large.
    """
    if not hardware.dynamic_vram or stage.device == "cpu":
        return stage
    peak = min(_card_bytes(hardware, limit_bytes), stage.peak_vram_bytes + kept_bytes)
    return replace(stage, peak_vram_bytes=peak)


def encode_stage(weights: Weights, usable_bytes: int, hardware: Hardware, device: str) -> StagePlan:
    """Memory while the prompt is encoded; `streamed_bytes` are moved once a prompt."""
    if device == "cpu" and hardware.kind != KIND_CPU:
        note = "the text encoder runs on the processor: no VRAM, but slower prompts"
        return StagePlan("encode", "cpu", 0, 0, 0, 0, weights.weight_bytes + ENCODE_ACTIVATION_BYTES, note)
    resident = max(0, min(weights.weight_bytes, usable_bytes - ENCODE_ACTIVATION_BYTES))
    streamed = weights.weight_bytes - resident
    note = "moved through the device once a prompt" if streamed else "all weights fit on the device"
    return StagePlan(
        "encode",
        device,
        resident,
        streamed,
        ENCODE_ACTIVATION_BYTES,
        resident + ENCODE_ACTIVATION_BYTES,
        0 if hardware.one_memory else streamed,
        note,
    )


def decode_stage(weights: Weights, width: int, height: int, usable_bytes: int, hardware: Hardware) -> StagePlan:
    """Memory while the VAE turns the latent into pixels; beyond the device's memory ComfyUI decodes in tiles."""
    needed = DECODE_BYTES_PER_PIXEL * width * height * (2 if hardware.supports_bf16 else 4)
    fits = weights.weight_bytes + needed <= usable_bytes
    activation = needed if fits else max(0, usable_bytes - weights.weight_bytes)
    note = "in one piece" if fits else f"ComfyUI decodes in tiles: one piece would need {gib(needed)}"
    device = "cpu" if hardware.kind == KIND_CPU else "gpu"
    peak = weights.weight_bytes + activation
    return StagePlan("decode", device, weights.weight_bytes, 0, activation, peak, 0, note)


def ram_needed_bytes(diffusion: Weights, text_encoder: Weights, sample: StagePlan, hardware: Hardware) -> int:
    """RAM in which a run never reads a weight from disk twice: what is streamed, the text encoder, the host itself."""
    if hardware.one_memory:
        return diffusion.weight_bytes + text_encoder.weight_bytes + sample.activation_bytes + HOST_RAM_BYTES
    return (diffusion.weight_bytes if sample.streamed_bytes else 0) + text_encoder.weight_bytes + HOST_RAM_BYTES
