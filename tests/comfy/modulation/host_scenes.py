"""Scenes in which other nodes of the host or of a pack reach for the modulation layers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.hooks
import comfy.lora
import comfy.sd
import comfy.utils
import torch
from comfy.patcher_extension import WrappersMP
from scenes import LATENT, Facts, scene
from studio import (
    difference,
    layers_read,
    load_stock,
    load_tabled,
    log,
    make_lora,
    modulation,
    row_files,
    sample,
    with_lora,
)

ON_MODULATION = ("img_mod.1", "txt_mod.1")
KEY = "diffusion_model.transformer_blocks.0.img_mod.1"


def compare(stock: Any, tabled: Any, plain: torch.Tensor, **settings: Any) -> Facts:
    """Both patchers sampled; `effect` says that what is tested changes the image at all."""
    expected = sample(stock, **settings)
    facts: Facts = {"difference": difference(expected, sample(tabled, **settings))}
    if expected.shape == plain.shape:
        facts["effect"] = difference(expected, plain)
    return facts


@scene("patches")
def patches(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    stock, tabled = load_stock(models["bf16"]), load_tabled(models["bf16"], str(folder / "rows"))
    plain = sample(stock)
    on, off = make_lora(1, *ON_MODULATION), make_lora(2, "attn.to_q", "attn.to_k")
    yield "without", compare(stock, tabled, plain)
    before = layers_read(tabled)
    yield "lora elsewhere", compare(with_lora(stock, off), with_lora(tabled, off), plain)
    yield "read for a lora elsewhere", {"read": layers_read(tabled) - before}
    files = len(row_files(folder / "rows"))
    yield "lora on modulation", compare(with_lora(stock, on, 0.7), with_lora(tabled, on, 0.7), plain)
    before = layers_read(tabled)
    yield "the same lora added anew", compare(with_lora(stock, on, 0.7), with_lora(tabled, on, 0.7), plain)
    yield "read for the same lora", {"read": layers_read(tabled) - before}
    yield "files of a lora", {"more": len(row_files(folder / "rows")) - files}
    retrained = {name: tensor.clone() for name, tensor in on.items()}
    retrained["transformer_blocks.0.img_mod.1.lora_up.weight"][0, 0] += 8
    yield "lora that differs in one number", compare(with_lora(stock, retrained), with_lora(tabled, retrained), plain)
    first, second = with_lora(with_lora(stock, on), off), with_lora(with_lora(tabled, on), off)
    yield "that and another", compare(first, second, plain)
    yield "removed again", compare(stock, tabled, plain)
    hooked = [comfy.hooks.load_hook_lora_for_models(model, None, on, 1.0, 0) for model in (stock, tabled)]
    results = [sample(model, cond={"hooks": hooks}, cfg=4.0) for model, _, hooks in hooked]
    effect = difference(results[0], sample(stock, cfg=4.0))
    yield "scheduled lora", {"difference": difference(*results), "effect": effect}
    yield "after the scheduled lora", compare(stock, tabled, plain)
    if hasattr(comfy.sd, "load_bypass_lora_for_models"):
        pair = [comfy.sd.load_bypass_lora_for_models(model, None, on, 1.0, 0)[0] for model in (stock, tabled)]
        yield "bypass lora", compare(*pair, plain)
    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        model.add_weight_wrapper(f"{KEY}.weight", lambda weight: weight * 1.25)
    files = len(row_files(folder / "rows"))
    yield "weight wrapper", compare(*pair, plain)
    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        model.add_patches({(f"{KEY}.weight", None, torch.neg): ("diff", (torch.ones(6 * 3072, 3072) / 500,))})
    yield "patch with a function", compare(*pair, plain)
    yield "files of functions", {"more": len(row_files(folder / "rows")) - files}
    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        model.set_model_compute_dtype(torch.bfloat16)
    yield "compute dtype", compare(*pair, plain)
    pair = [stock.clone(), tabled.clone()]
    halved = copy.deepcopy(stock.model.diffusion_model.transformer_blocks[0].img_mod[1])
    halved.weight.data *= 0.5
    for model in pair:
        model.add_object_patch(KEY, halved)
    yield "another layer in its place", compare(*pair, plain)
    time_lora = make_lora(4, "attn.to_q")
    time_lora = {
        name.replace("transformer_blocks.0.attn.to_q", "time_text_embed.timestep_embedder.linear_2"): tensor
        for name, tensor in time_lora.items()
    }
    yield "lora on the timestep embedding", compare(with_lora(stock, time_lora), with_lora(tabled, time_lora), plain)
    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        forward = model.model.diffusion_model.transformer_blocks[0].forward

        def halved(*args: Any, forward: Any = forward, temb: Any = None, **kwargs: Any) -> Any:
            return forward(*args, temb=temb * 0.5, **kwargs)

        model.add_object_patch("diffusion_model.transformer_blocks.0.forward", halved)
    yield "another forward of a block", compare(*pair, plain)
    yield "after all of them", compare(stock, tabled, plain)


@scene("nodes")
def nodes(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    stock, tabled = load_stock(models["bf16"]), load_tabled(models["bf16"], str(folder / "rows"))
    plain = sample(stock)

    def swap_embedding(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        return extra["original_block"]({**args, "vec": args["vec"] * 0.5})

    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        model.set_model_patch_replace(swap_embedding, "dit", "double_block", 0)
    yield "block patch that swaps the embedding", compare(*pair, plain)

    def halve_timestep(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(x, timestep * 0.5, *args, **kwargs)

    pair = [stock.clone(), tabled.clone()]
    for model in pair:
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", halve_timestep)
    yield "wrapper that changes the timestep", compare(*pair, plain)
    pair = [type(model)(model.model, model.load_device, model.offload_device) for model in (stock, tabled)]
    yield "patcher made anew around the model", compare(*pair, plain)
    yield "reference image", compare(stock, tabled, plain, cond={"reference_latents": [LATENT]}, cfg=4.0)

    maps = [comfy.lora.model_lora_keys_unet(model.model, {}) for model in (stock, tabled)]
    yield "lora keys", {"same": maps[0] == maps[1], "has modulation": f"{KEY}.weight" in maps[1].values()}
    weights = [model.get_key_patches(f"{KEY}.") for model in (stock, tabled)]
    same = all(torch.equal(weights[0][k][0][0].float(), weights[1][k][0][0].float()) for k in weights[0])
    yield "weights for merging", {"same": same and weights[0].keys() == weights[1].keys(), "number": len(weights[1])}
    del tabled, pair, weights
    log.take()
    untouched = modulation.apply_modulation_table(load_stock(models["bf16"]), models["distill"], str(folder / "rows"))
    yield "another file as the source", compare(stock, untouched, plain) | {"log": log.take()}


@scene("saving")
def saving(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    options = {"dtype": torch.bfloat16}
    stock, tabled = load_stock(models["bf16"], **options), load_tabled(models["bf16"], str(folder / "rows"), **options)
    lora = make_lora(1, *ON_MODULATION, "attn.to_q")
    pairs = {"saved": [stock, tabled], "saved with a lora": [with_lora(stock, lora), with_lora(tabled, lora)]}
    for name, pair in pairs.items():
        files = []
        for side, model in enumerate(pair):
            path = folder / f"{side}.safetensors"
            comfy.sd.save_checkpoint(str(path), model)
            files.append(comfy.utils.load_torch_file(str(path)))
        one, other = files
        equal = one.keys() == other.keys() and all(torch.equal(one[k].float(), other[k].float()) for k in one)
        yield name, {"same": equal, "tensors": len(one)}
    yield "after saving", {"difference": difference(sample(stock), sample(tabled))}


@scene("compile")
def compiled(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    stock, tabled = load_stock(models["bf16"]), load_tabled(models["bf16"], str(folder / "rows"))
    plain = sample(stock)
    for name, keys in {"a block": ["diffusion_model.transformer_blocks.0"], "the model": ["diffusion_model"]}.items():
        facts: Facts = {}
        for side, original in (("stock", stock), ("tabled", tabled)):
            model = original.clone()
            set_torch_compile_wrapper(model, backend="eager", keys=keys)
            torch._dynamo.reset()
            torch._dynamo.utils.counters.clear()
            results = [sample(model), sample(model)]
            facts[f"difference, {side}"] = max(difference(plain, result) for result in results)
            facts[f"compilations, {side}"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
            facts[f"breaks, {side}"] = list(torch._dynamo.utils.counters["graph_break"])
            del model, results
        yield name, facts
    yield "without it afterwards", {"difference": difference(plain, sample(tabled))}


@scene("precision")
def precision(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    """PyTorch's newer way to set the precision of products, after which the older way to ask for it raises."""
    stock, tabled = load_stock(models["bf16"]), load_tabled(models["bf16"], str(folder / "rows"))
    plain = sample(stock)
    before = layers_read(tabled)
    sample(tabled)
    facts = {"at first": layers_read(tabled) - before}
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before = layers_read(tabled)
    yield "set by the newer interface", compare(stock, tabled, plain) | facts | {"read": layers_read(tabled) - before}
