"""Write tiny Qwen-Image model files. usage: make_tiny_models.py COMFYUI_DIR < rows.json (see tiny_models.py)

Keys and shapes come from the host's own classes, built with one block on the meta device; a row may ask for more by
"blocks" and "vision_blocks" (the benchmark makes full-size files). Values are slices of one random pool, so writing is
as fast as the disk, and the same row always gives the same bytes.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

rows = json.load(sys.stdin)
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402
import torch  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.ldm.wan.vae  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.text_encoders.llama as llama  # noqa: E402
import comfy.text_encoders.qwen_vl as qwen_vl  # noqa: E402
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel  # noqa: E402

FP8, BF16, F32 = torch.float8_e4m3fn, torch.bfloat16, torch.float32
DTYPE = {"fp8_e4m3fn": FP8, "fp8_scaled": FP8, "bf16": BF16, "fp32": F32}
SAFETENSORS_NAME = {FP8: "F8_E4M3", BF16: "BF16", F32: "F32", torch.uint8: "U8"}
QUANT_MARK = json.dumps({"format": "float8_e4m3fn"}).encode()  # beside each weight of an fp8mixed file
OPS: Any = comfy.ops.disable_weight_init
LORA_RANK = 64
POOL_LENGTH = 4_194_301  # a prime: no row of a weight repeats another

POOL = torch.empty(POOL_LENGTH).normal_(generator=torch.Generator().manual_seed(0))

# One tensor: key, shape, dtype, standard deviation (0 = constant), mean.
Tensor = tuple[str, tuple[int, ...], torch.dtype, float, float]


def diffusion(row: dict[str, Any]) -> Iterator[Tensor]:
    scaled = row["weight_format"] == "fp8_scaled"
    dtype = BF16 if scaled else DTYPE[row["weight_format"]]
    layered = "time_text_embed.addition_t_embedding.weight" in row["marks"]
    model = QwenImageTransformer2DModel(
        num_layers=row.get("blocks", 1),
        in_channels=64,
        out_channels=16,
        use_additional_t_cond=layered,
        device="meta",
        dtype=BF16,
        operations=OPS,
    )
    for key, value in model.state_dict().items():
        if value.ndim == 1 and key.endswith("weight"):
            yield key, tuple(value.shape), dtype, 0.0, 1.0
        elif scaled and value.ndim == 2 and key.startswith("transformer_blocks."):
            yield key, tuple(value.shape), FP8, 1.0, 0.0
            yield key + "_scale", (), F32, 0.0, 0.5 / value.shape[-1] ** 0.5
            yield key.removesuffix("weight") + "comfy_quant", (len(QUANT_MARK),), torch.uint8, 0.0, 0.0
        else:
            yield key, tuple(value.shape), dtype, 0.01 if value.ndim == 1 else 0.5 / value.shape[-1] ** 0.5, 0.0
    if "__index_timestep_zero__" in row["marks"]:
        yield "__index_timestep_zero__", (0,), BF16, 0.0, 0.0


def text_encoder(row: dict[str, Any]) -> Iterator[Tensor]:
    vision = qwen_vl.Qwen2VLVisionTransformer
    llama.qwen_vl.Qwen2VLVisionTransformer = lambda **options: vision(  # this process only
        **options, num_layers=row.get("vision_blocks", 1)
    )
    model = llama.Qwen25_7BVLI({"num_hidden_layers": row.get("blocks", 1)}, BF16, "meta", OPS)
    scaled = row["weight_format"] == "fp8_scaled"
    for key, value in model.state_dict().items():
        shape = tuple(value.shape)
        if value.ndim == 1:
            yield key, shape, BF16, 0.0 if key.endswith("weight") else 0.02, 1.0 if key.endswith("weight") else 0.0
        elif scaled and value.ndim == 2 and "embed" not in key:
            yield key, shape, FP8, 1.0, 0.0
            yield key.removesuffix("weight") + "scale_weight", (), F32, 0.0, 0.5 / shape[-1] ** 0.5
        else:
            yield key, shape, BF16, 0.02, 0.0
    if scaled:
        yield "scaled_fp8", (0,), FP8, 0.0, 0.0


def vae(row: dict[str, Any]) -> Iterator[Tensor]:
    model = comfy.ldm.wan.vae.WanVAE(
        dim=96,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        attn_scales=[],
        temperal_downsample=[False, True, True],
        dropout=0.0,
    )
    for key, value in model.state_dict().items():
        if value.ndim <= 1 or key.endswith("gamma"):
            yield key, tuple(value.shape), BF16, 0.0, 1.0 if key.endswith("gamma") else 0.0
        else:
            yield key, tuple(value.shape), BF16, value[0].numel() ** -0.5, 0.0


def lora(row: dict[str, Any]) -> Iterator[Tensor]:
    dtype, width = DTYPE[row["weight_format"]], 3072
    attention = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out")
    layers = {f"attn.{name}": (width, width) for name in attention}
    for side in ("img", "txt"):
        layers[f"{side}_mlp.net.0.proj"] = (4 * width, width)
        layers[f"{side}_mlp.net.2"] = (width, 4 * width)
    for block in range(row.get("blocks", 1)):
        for layer, (out_width, in_width) in layers.items():
            key = f"transformer_blocks.{block}.{layer}"
            yield key + ".lora_down.weight", (LORA_RANK, in_width), dtype, 0.5 / in_width**0.5, 0.0
            yield key + ".lora_up.weight", (out_width, LORA_RANK), dtype, 0.01, 0.0
            yield key + ".alpha", (), dtype, 0.0, float(LORA_RANK)


def write(path: Path, tensors: list[Tensor], seed: int) -> None:
    """A safetensors file under a temporary name, then renamed: a file in the cache is always whole."""
    header: dict[str, Any] = {}
    offset = 0
    for key, shape, dtype, _, _ in tensors:
        size = torch.Size(shape).numel() * dtype.itemsize
        header[key] = {"dtype": SAFETENSORS_NAME[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key, shape, dtype, deviation, mean in tensors:
            count = torch.Size(shape).numel()
            if dtype is torch.uint8:
                file.write(QUANT_MARK)
                continue
            if deviation == 0.0:
                file.write(as_bytes(torch.full((count,), mean), dtype))
                continue
            pool = memoryview(pool_bytes(deviation, dtype))
            start = zlib.crc32(f"{seed} {key}".encode()) % POOL_LENGTH
            while count:
                part = min(count, POOL_LENGTH - start)
                file.write(pool[start * dtype.itemsize : (start + part) * dtype.itemsize])
                count, start = count - part, 0
    partial.replace(path)


@lru_cache(maxsize=16)
def pool_bytes(deviation: float, dtype: torch.dtype) -> bytes:
    return as_bytes(POOL * deviation, dtype)


def as_bytes(values: torch.Tensor, dtype: torch.dtype) -> bytes:
    return values.to(dtype).view(torch.uint8).numpy().tobytes()


MAKERS = {"diffusion": diffusion, "text_encoder": text_encoder, "vae": vae, "lora": lora}

for row in rows:
    write(Path(row["target"]), list(MAKERS[row["part"]](row)), row["seed"])
    print(f"made {row['folder']}/{row['name']}", flush=True)
