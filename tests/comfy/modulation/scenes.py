"""What is compared, by name: each scene returns facts that a test asserts. Run by stage.py in a process of its own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comfy.model_management
import torch
from model_formats import FORMATS, rewrite
from studio import difference, layers_read, load_stock, load_tabled, log, make_lora, sample, with_lora

Facts = dict[str, Any]
SCENES: dict[str, Callable[[dict[str, str], Path], Iterator[tuple[str, Facts]]]] = {}
LATENT = torch.randn(1, 16, 1, 4, 4, generator=torch.Generator().manual_seed(3))
RUNS: dict[str, dict[str, Any]] = {
    "lightning: euler, cfg 1": {},
    "base: euler, cfg 4": {"cfg": 4.0},
    "heun": {"sampler": "heun"},
    "dpm_2": {"sampler": "dpm_2", "cfg": 4.0},
    "res_multistep": {"sampler": "res_multistep"},
    "denoise 0.6": {"denoise": 0.6, "steps": 4},
    "batch of 2, cfg 4": {"batch": 2, "cfg": 4.0},
    "another schedule": {"steps": 5},
    "the first schedule again": {},
    "reference image": {"cond": {"reference_latents": [LATENT]}, "cfg": 4.0},
}


def scene(name: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        SCENES[name] = function
        return function

    return add


def free() -> None:
    comfy.model_management.unload_all_models()
    gc.collect()


@scene("samplers")
def samplers(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    stock, tabled = load_stock(models["bf16"]), load_tabled(models["bf16"], str(folder / "rows"))
    log.take()
    for name, settings in RUNS.items():
        facts = {"difference": difference(sample(stock, **settings), sample(tabled, **settings))}
        yield name, facts | {"read": layers_read(tabled), "log": log.take()}
    free()
    yield "unloaded and loaded again", {"difference": difference(sample(stock), sample(tabled))}
    other, other_tabled = load_stock(models["distill"]), load_tabled(models["distill"], str(folder / "rows"))
    yield "a second model between", {"difference": difference(sample(other), sample(other_tabled))}
    yield "the first model after it", {"difference": difference(sample(stock), sample(tabled))}
    yield "two models differ", {"difference": difference(sample(stock), sample(other))}


@scene("releases")
def releases(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    runs: dict[str, list[dict[str, Any]]] = {
        "edit_2511": [RUNS["reference image"], {}, {"batch": 2, "cond": {"reference_latents": [LATENT]}}],
        "layered": [{"layers": 3}, {"layers": 3, "cfg": 4.0}],
    }
    for name, settings in runs.items():
        stock, tabled = load_stock(models[name]), load_tabled(models[name], str(folder / "rows"))
        worst = max(difference(sample(stock, **each), sample(tabled, **each)) for each in settings)
        yield name, {"difference": worst}
        del stock, tabled
        free()


@scene("formats")
def formats(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    files = {"fp8": (models["fp8"], torch.float8_e4m3fn), "bf16": (models["bf16"], torch.bfloat16)}
    lora = make_lora(1, "img_mod.1")
    for name in [*files, *FORMATS]:
        path, dtype = files.get(name) or (rewrite(models["bf16"], folder, name), None)
        options = {} if dtype is None else {"dtype": dtype}
        stock, tabled = load_stock(path, **options), load_tabled(path, str(folder / "rows"), **options)
        hidden = sum(
            comfy.model_management.module_size(getattr(stock.model.diffusion_model.transformer_blocks[0], part))
            for part in ("img_mod", "txt_mod")
        )
        plain = sample(stock, steps=1)
        facts: Facts = {"difference": difference(plain, sample(tabled, steps=1))}
        facts["bytes missing from the host's count"] = stock.model_size() - hidden - tabled.model_size()
        facts["bytes loaded beyond the count"] = tabled.loaded_size() - tabled.model_size()
        if name in ("fp8", "bf16", "comfy_quant_int8"):
            patched = sample(with_lora(stock, lora), steps=1)
            facts["lora difference"] = difference(patched, sample(with_lora(tabled, lora), steps=1))
            facts["lora effect"] = difference(patched, plain)
        yield name, facts
        del stock, tabled
        free()
        if name in FORMATS:
            Path(path).unlink()
