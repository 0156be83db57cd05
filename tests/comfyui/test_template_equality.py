"""The main promise: Load Qwen-Image gives the image of the official template, pixel for pixel."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from comfyui_server import ComfyServer
from PIL import Image
from stock_graphs import RECIPES, stock_template, with_loader
from workflow_graphs import Graph

RecordFact = Callable[[str], None]


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


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_image_is_that_of_the_template(
    comfy_server: ComfyServer,
    object_info: dict[str, Any],
    stock_pictures: dict[str, np.ndarray[Any, Any]],
    recipe: str,
    record_fact: RecordFact,
) -> None:
    actual = picture(comfy_server, with_loader(stock_template(object_info, recipe), recipe=recipe))
    difference = int(np.abs(actual - stock_pictures[recipe]).max())
    record_fact(f"{recipe}: max difference to the stock template's image: {difference}")
    assert difference == 0
