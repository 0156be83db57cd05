"""Write the golden headers: for every catalog file the JSON header it has (or must have, by its model's known shapes).

usage: python tests/golden_headers/make.py COMFYUI_DIR

No real header is at hand, so names, shapes and dtypes come from ComfyUI's own model classes on the meta device and from
the layouts that ComfyUI's loaders read (comfy/utils.convert_old_quants, comfy/ops mixed precision). Identical models
give identical files. Needs torch; the tests only need the written files.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.ldm.wan.vae  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.text_encoders.llama  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "demo"))
from load_pack import load_pack  # noqa: E402

load_pack()
from qwen_image_loader.planner.catalog import CATALOG  # noqa: E402
from qwen_image_loader.planner.catalog_file import CatalogFile  # noqa: E402
from qwen_image_loader.planner.releases import QWEN_IMAGE_EDIT_2511, QWEN_IMAGE_LAYERED, VAE_LAYERED  # noqa: E402
from qwen_image_loader.planner.safetensors_header import DTYPE_BITS  # noqa: E402

Entries = list[tuple[str, str, tuple[int, ...]]]
PLAIN = {"bf16": "BF16", "fp32": "F32", "fp8_e4m3fn": "F8_E4M3"}


def header_json(entries: Entries, metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, dtype, shape in entries:
        count = 1
        for size in shape:
            count *= size
        end = offset + (count * DTYPE_BITS[dtype] + 7) // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def quantized(name: str, shape: tuple[int, ...], weight_format: str, legacy: bool) -> Entries:
    """One Linear weight in a quantized layout, with the tensors that belong to it."""
    stem = name.removesuffix("weight")
    out, width = shape
    if legacy:
        return [(name, "F8_E4M3", shape), (stem + "scale_input", "F32", ()), (stem + "scale_weight", "F32", ())]
    mark = (stem + "comfy_quant", "U8", (32,))
    if weight_format == "nvfp4":
        scales = [(stem + "weight_scale", "F8_E4M3", (out, width // 16)), (stem + "weight_scale_2", "F32", ())]
        return [(name, "U8", (out, width // 2)), *scales, mark]
    if weight_format == "int8_convrot":
        return [(name, "I8", shape), (stem + "weight_scale", "F32", (out, 1)), mark]
    return [(name, "F8_E4M3", shape), (stem + "weight_scale", "F32", ()), mark]


def spread(shapes: dict[str, tuple[int, ...]], weight_format: str, linears: set[str], legacy: bool = False) -> Entries:
    """All tensors of a model in one weight format; only `linears` are quantized where the format quantizes."""
    if weight_format in PLAIN:
        return [(name, PLAIN[weight_format], shape) for name, shape in shapes.items()]
    entries: Entries = []
    for name, shape in shapes.items():
        if name in linears:
            entries += quantized(name, shape, weight_format, legacy)
        else:
            entries.append((name, "BF16", shape))
    if legacy:
        entries.append(("scaled_fp8", "F8_E4M3", (0,)))
    return entries


def diffusion_model(row: CatalogFile) -> Entries:
    model = QwenImageTransformer2DModel(
        num_layers=60,
        in_channels=64,
        out_channels=16,
        use_additional_t_cond=row.release == QWEN_IMAGE_LAYERED,
        device="meta",
        dtype=torch.bfloat16,
        operations=comfy.ops.disable_weight_init,
    )
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    linears = {n for n, s in shapes.items() if n.startswith("transformer_blocks.") and len(s) == 2}
    entries = spread(shapes, row.weight_format, linears)
    if row.release == QWEN_IMAGE_EDIT_2511:
        entries.append(("__index_timestep_zero__", "BF16", (0,)))
    return entries


def text_encoder(row: CatalogFile) -> Entries:
    model = comfy.text_encoders.llama.Qwen25_7BVLI({}, torch.bfloat16, "meta", comfy.ops.disable_weight_init)
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]  # in the file, though ComfyUI does not load it
    linears = {n for n, s in shapes.items() if len(s) == 2 and "embed_tokens" not in n and "lm_head" not in n}
    return spread(shapes, row.weight_format, linears, legacy=row.weight_format == "fp8_scaled")


def vae(row: CatalogFile) -> Entries:
    channels = 4 if row.vae_kind == VAE_LAYERED else 3
    model = comfy.ldm.wan.vae.WanVAE(
        dim=96, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
        temperal_downsample=[False, True, True], image_channels=channels, dropout=0.0,
    )  # fmt: skip
    return [(name, "BF16", tuple(t.shape)) for name, t in model.state_dict().items()]


def lora(row: CatalogFile) -> Entries:
    """Rank 64 on the attention and MLP layers of all blocks, none on the modulation layers."""
    width, dtype = 3072, PLAIN[row.weight_format]
    modules = {
        f"attn.{name}": (width, width)
        for name in ("add_k_proj", "add_q_proj", "add_v_proj", "to_add_out", "to_k", "to_out.0", "to_q", "to_v")
    }
    for stream in ("img", "txt"):
        modules[f"{stream}_mlp.net.0.proj"] = (4 * width, width)
        modules[f"{stream}_mlp.net.2"] = (width, 4 * width)
    entries: Entries = []
    for block in range(60):
        for module, (out, width_in) in sorted(modules.items()):
            stem = f"transformer_blocks.{block}.{module}"
            entries.append((f"{stem}.alpha", dtype, ()))
            entries.append((f"{stem}.lora_down.weight", dtype, (64, width_in)))
            entries.append((f"{stem}.lora_up.weight", dtype, (out, 64)))
    return entries


MAKERS = {"diffusion_model": diffusion_model, "text_encoder": text_encoder, "vae": vae, "lora": lora}

for row in CATALOG:
    data = header_json(MAKERS[row.role](row))
    (HERE / f"{row.name}.json.gz").write_bytes(gzip.compress(data, mtime=0))
    print(row.name, len(data))
