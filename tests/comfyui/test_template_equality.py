"""The main promise: Load Qwen-Image gives the image of the official template, pixel for pixel."""

from __future__ import annotations

import copy
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_fixtures import StartServer
from comfyui_server import ComfyServer
from PIL import Image
from safetensors.torch import save_file
from stock_graphs import RECIPES, stock_template, with_loader
from tiny_models import TEMPLATE_SET
from workflow_graphs import Graph, inputs_of, nodes_of, one_step

RecordFact = Callable[[str], None]
OTHER_PARTS = [file for file in TEMPLATE_SET if not file.startswith("diffusion_models/")]


def picture(server: ComfyServer, graph: Graph) -> np.ndarray[Any, Any]:
    """The one image that a graph saves, as height x width x 3 numbers of 0 to 255."""
    result = server.run(graph)
    assert result.status == "success", result.error or result.node_errors
    (data,) = server.images(result)
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def stock_pictures(comfy_server: ComfyServer, object_info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """What the template itself gives for each recipe."""
    return {recipe: picture(comfy_server, stock_template(object_info, recipe)) for recipe in RECIPES}


def test_each_set_up_of_the_template_gives_its_own_image(stock_pictures: dict[str, np.ndarray[Any, Any]]) -> None:
    base, distilled, lightning = (stock_pictures[recipe] for recipe in RECIPES)
    assert base.std() > 1, "a flat image would make the comparison below prove nothing"
    assert (base != distilled).any()
    assert (base != lightning).any()


@pytest.mark.parametrize("modulation", ["auto", "on"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_image_is_that_of_the_template(
    comfy_server: ComfyServer,
    object_info: dict[str, Any],
    stock_pictures: dict[str, np.ndarray[Any, Any]],
    recipe: str,
    modulation: str,
    record_fact: RecordFact,
) -> None:
    graph = with_loader(stock_template(object_info, recipe), recipe=recipe, modulation=modulation)
    difference = int(np.abs(picture(comfy_server, graph) - stock_pictures[recipe]).max())
    record_fact(f"{recipe}, modulation {modulation}: max difference to the stock template's image: {difference}")
    assert difference == 0


def test_the_image_of_a_scaled_model_with_the_modulation_table(start_server: StartServer) -> None:
    name = "qwen_image_fp8mixed.safetensors"
    server = start_server(models=[f"diffusion_models/{name}", *OTHER_PARTS])
    stock = one_step(stock_template(server.object_info(), "base", side=64))
    inputs_of(stock, "UNETLoader")["unet_name"] = name
    expected = picture(server, stock)
    assert expected.std() > 1
    actual = picture(server, one_step(with_loader(stock, recipe="base", diffusion_model_file=name, modulation="on")))
    assert "Modulation table: reading" in server.log_text()
    assert (actual == expected).all()


def style_loras() -> dict[str, dict[str, torch.Tensor]]:
    """A LoKr on an attention and a modulation layer, and a LoRA on attention alone, as common trainers write them."""
    random = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random) * 0.2

    query, modulation = "transformer_blocks.0.attn.to_q", "transformer_blocks.0.img_mod.1"
    return {
        "lokr.safetensors": {
            f"diffusion_model.{query}.lokr_w1": noise(4, 4),
            f"diffusion_model.{query}.lokr_w2": noise(768, 768),
            f"diffusion_model.{modulation}.lokr_w1": noise(4, 4),
            f"diffusion_model.{modulation}.lokr_w2": noise(4608, 768),
        },
        "attention.safetensors": {
            f"transformer.{query}.lora_A.weight": noise(8, 3072),
            f"transformer.{query}.lora_B.weight": noise(3072, 8),
        },
    }


def test_style_loras_of_common_trainers_work_as_in_stock(start_server: StartServer) -> None:
    server = start_server(models=list(TEMPLATE_SET))
    without = one_step(stock_template(server.object_info(), "base", side=64))
    plain = picture(server, without)
    (model,) = nodes_of(without, "UNETLoader")
    for name, tensors in style_loras().items():
        save_file(tensors, server.base / "models" / "loras" / name)
        stock = copy.deepcopy(without)
        for node in stock.values():
            node["inputs"] = {
                key: ["lora", 0] if value == [model, 0] else value for key, value in node["inputs"].items()
            }
        lora = {"model": [model, 0], "lora_name": name, "strength_model": 1.0}
        stock["lora"] = {"class_type": "LoraLoaderModelOnly", "inputs": lora}
        expected = picture(server, stock)
        assert (expected != plain).any(), "the LoRA changes the picture"
        loader = with_loader(without, recipe="base", lora_file=name, modulation="on")
        assert (picture(server, one_step(loader)) == expected).all(), name
