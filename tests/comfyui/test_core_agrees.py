# ruff: noqa: E501 - tables and code for another process
"""ComfyUI's own detectors say the same of every catalog file's golden header as ours, weights never loaded."""

from __future__ import annotations

import pytest
from comfyui_host import REPOSITORY, Host
from in_comfyui import run_in_comfyui

CODE = f"""
import gzip, torch
import comfy.lora, comfy.model_detection, comfy.ops, comfy.sd, comfy.utils
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
from qwen_image_loader.planner.catalog import CATALOG
DTYPES = dict(BF16=torch.bfloat16, F32=torch.float32, F8_E4M3=torch.float8_e4m3fn, U8=torch.uint8, I8=torch.int8)

def meta_weights(row):
    data = gzip.decompress(open({str(REPOSITORY / "tests" / "golden_headers")!r} + "/" + row.name + ".json.gz", "rb").read())
    header = json.loads(data)
    header.pop("__metadata__", None)
    return {{k: torch.empty(t["shape"], dtype=DTYPES[t["dtype"]], device="meta") for k, t in header.items()}}

said = {{}}
model = QwenImageTransformer2DModel(num_layers=60, in_channels=64, out_channels=16, device="meta",
                                    operations=comfy.ops.disable_weight_init)
targets = set(n.removesuffix(".weight") for n in model.state_dict() if n.endswith(".weight"))
for row in CATALOG:
    weights = meta_weights(row)
    if row.role == "diffusion_model":
        marks = [k for k in weights if k.endswith(".comfy_quant") or k == "scaled_fp8"]
        for mark in marks:  # their content is read by the loader; the model's class is told from the other keys
            weights.pop(mark)
        config = comfy.model_detection.model_config_from_unet(weights, "")
        said[row.name] = [type(config).__name__, config.unet_config.get("num_layers"),
                          config.unet_config.get("default_ref_method", ""),
                          bool(config.unet_config.get("use_additional_t_cond"))]
    elif row.role == "text_encoder":
        said[row.name] = comfy.sd.detect_te_model(weights).name
    elif row.role == "vae":
        said[row.name] = list(weights["encoder.conv1.weight"].shape)[1]
    else:
        modules = set(k.rsplit(".lora_", 1)[0] for k in weights if ".lora_" in k)
        said[row.name] = [len(modules), len(modules - targets)]
answer(said)
"""


@pytest.fixture(scope="module")
def core_says(comfyui_host: Host) -> dict[str, object]:
    return run_in_comfyui(comfyui_host, CODE)


def test_core_agrees_on_every_catalog_file(core_says: dict[str, object]) -> None:
    from qwen_image_loader.planner.catalog import CATALOG

    expected: dict[str, object] = {}
    for row in CATALOG:
        if row.role == "diffusion_model":
            marked = "index_timestep_zero" if row.release == "Qwen-Image-Edit-2511" else ""
            layered = row.release == "Qwen-Image-Layered"
            expected[row.name] = ["QwenImage", 60, "negative_index" if layered else marked, layered]
        elif row.role == "text_encoder":
            expected[row.name] = "QWEN25_7B"
        elif row.role == "vae":
            expected[row.name] = 4 if row.vae_kind == "layered" else 3
        else:
            expected[row.name] = [720, 0]
    assert core_says == expected
