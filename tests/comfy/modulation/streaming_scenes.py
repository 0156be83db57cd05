"""Scenes of what the pack does about streaming, as far as a CPU can show it: the host's prefetch, the held LoRA."""

from __future__ import annotations

import copy
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.cli_args
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import folder_paths
import torch
from page_cache_share import page_cache_share, why_it_keeps_all
from scenes import Facts, scene
from studio import difference, load_stock, load_tabled, make_lora, modulation, sample

block_prefetch: Any = importlib.import_module("qil.runtime.block_prefetch")
lora_in_ram: Any = importlib.import_module("qil.runtime.lora_in_ram")
modulation_file: Any = importlib.import_module("qil.runtime.modulation_file")
modulation_weights: Any = importlib.import_module("qil.runtime.modulation_weights")
fast_disk: Any = importlib.import_module("qil.runtime.fast_disk")
stay_in_vram: Any = importlib.import_module("qil.runtime.stay_in_vram")
vram_order: Any = importlib.import_module("qil.runtime.vram_order")
load: Any = importlib.import_module("qil.runtime.load")
switches: Any = importlib.import_module("qil.runtime.switches")
GIB = 1024**3
LAYERS = ("attn.to_q", "attn.to_v", "attn.add_k_proj")


@scene("streaming")
def streaming(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    yield from host_prefetch(models)
    yield from held_lora(models)
    yield from attention_first(models)
    yield from staying_in_vram(models)
    folder_paths.set_user_directory(str(folder / "user"))
    yield from reading_order(models)
    yield from reading_once(models, folder)
    yield from benchmark_switches(folder)
    yield from fast_disks(models)


def host_prefetch(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    stock, hooked = load_stock(models["bf16"]), load_stock(models["bf16"])
    block_prefetch.add_block_prefetch(hooked)
    blocks = hooked.model.diffusion_model.transformer_blocks
    yield "hooks", {"blocks": len(blocks), "hooked": sum(bool(block._forward_pre_hooks) for block in blocks)}
    yield "latents", {"difference": difference(sample(stock), sample(hooked))}
    try:
        host = importlib.import_module("comfy.model_prefetch")
    except ImportError:
        return
    prefetch = block_prefetch._BlockPrefetch(host)
    x = torch.zeros(1)
    prefetch.before_model(None, (x,), {"transformer_options": {"prefetch_dynamic_vbars": True}})
    yield "on the CPU", {"queue": prefetch._queue}
    prefetch._queue, prefetch._device = [None], x.device
    seen = []
    for block in (blocks[0], blocks[-1], blocks[0]):  # in any order, one of them twice
        prefetch.before_block(block, ())
        ((_, (brought, modules)),) = prefetch._queue
        seen.append(brought is block and modules == [])
    last = prefetch._queue
    prefetch.after_model(None, (), None)
    yield "queue", {"seen": seen, "left": last, "after": prefetch._queue}
    prefetch._queue = [None]
    blocks[0].attn.to_q._prefetch = {"signature": None}  # as a host leaves it that brings the blocks itself
    prefetch.before_block(blocks[0], ())
    noted = block_prefetch.is_on_its_way(blocks[0])
    host.cleanup_prefetched_modules(blocks[0], [blocks[0].attn.to_q])
    cleaned = not block_prefetch.is_on_its_way(blocks[0])
    yield "the host brings the blocks", {"queue": prefetch._queue, "noted": noted, "cleaned": cleaned}


def held_lora(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    model = load_stock(models["fp8"])
    lora = make_lora(3, *LAYERS)
    yield "lora, not streamed", {"same": lora_in_ram.hold_lora(lora, model) is lora}
    precision = lora_in_ram.applied_precision(model)
    held = lora_in_ram.in_precision(lora, torch.bfloat16)
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    patches = [comfy.lora.load_lora(weights, keys) for weights in (lora, held)]
    differences, effects = [], []
    for key in patches[0]:
        weight = model.model.get_submodule(key.rsplit(".", 1)[0]).weight.to(torch.bfloat16)
        made = [
            comfy.model_patcher.LowVramPatch(key, {key: [(0.8, patch[key], 1.0, None, None)]})(weight.clone())
            for patch in patches
        ]
        differences.append(difference(*made))
        effects.append(difference(made[0], weight))
    yield "lora, streamed", {"layers": len(differences), "difference": max(differences), "effect": min(effects)}
    sizes = [sum(tensor.nbytes for tensor in weights.values()) for weights in (lora, held)]
    copied = all(held[name].data_ptr() != tensor.data_ptr() for name, tensor in lora.items())
    yield "lora, held", {"precision": str(precision), "share": sizes[1] / sizes[0], "copied": copied}
    if sys.platform == "linux":
        yield from lora_in_memory(lora)


def lora_in_memory(lora: dict[str, torch.Tensor]) -> Iterator[tuple[str, Facts]]:
    """Elements of all sizes and a tensor without any, from a file in memory and from a system that makes none."""
    lora = {
        **lora,
        "alpha": torch.tensor(2.0, dtype=torch.float64),
        "b": torch.tensor([True]),
        "none": torch.empty(0, 3),
    }
    names, others = tempfile.tempdir, files_in_memory()
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        try:
            in_memory = lora_in_ram.in_precision(lora, None)
            left = os.listdir(tempfile.tempdir)
            os.rmdir(tempfile.tempdir)  # no name can be made
            without = lora_in_ram.in_precision(lora, None)
            os.mkdir(tempfile.tempdir)
        finally:
            tempfile.tempdir = names
    same = [
        all(held[name].dtype == lora[name].dtype and torch.equal(held[name], lora[name]) for name in lora)
        for held in (in_memory, without)
    ]
    yield "lora, file in memory", {"same": same, "left": left, "files": files_in_memory() - others}
    del in_memory
    yield "lora, given up", {"files": files_in_memory() - others}
    yield from lora_by_the_readers_of_dynamic_vram({name: tensor for name, tensor in lora.items() if tensor.numel()})


def lora_by_the_readers_of_dynamic_vram(lora: dict[str, torch.Tensor]) -> Iterator[tuple[str, Facts]]:
    """ComfyUI's loader with dynamic VRAM says where in the file each tensor is: its reading threads copy from there."""
    try:
        host = importlib.import_module("comfy.memory_management")
        library = importlib.import_module("comfy_aimdo.control")
    except ImportError:
        return
    if not library.init():
        return
    kept, host.aimdo_enabled = host.aimdo_enabled, True
    try:
        held = lora_in_ram.in_precision(lora, None)
    finally:
        host.aimdo_enabled = kept
    slices = {name: tensor.untyped_storage()._comfy_tensor_file_slice for name, tensor in held.items()}
    same = [os.pread(one.file_ref, one.size, one.offset) == bytes_of(lora[name]) for name, one in slices.items()]
    mappings = {id(tensor.untyped_storage()._comfy_tensor_mmap_refs[0]): tensor for tensor in held.values()}
    for tensor in mappings.values():  # the host gives up what it has looked at, after each node
        tensor.untyped_storage()._comfy_tensor_mmap_refs[0].bounce()
    after = all(torch.equal(held[name], tensor) for name, tensor in lora.items())
    yield "lora, read by the host", {"same": same, "files": len(mappings), "after": after}


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def files_in_memory() -> int:
    """How many mappings this process has of files that memfd_create made."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sum("/memfd:lora" in line for line in maps)


def attention_first(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    model = load_stock(models["fp8"])
    own = hasattr(model.model, "get_dynamic_vram__units")
    vram_order.keep_attention_first(model)
    both = (model.model.diffusion_model, model.model.get_dynamic_vram__units)
    for name, (diffusion_model, units) in (("model", both), ("copy", copy.deepcopy(both))):
        first, last = units()
        blocks = diffusion_model.transformer_blocks
        inside = [module for unit in first for module in unit.modules() if isinstance(module, torch.nn.Linear)]
        outside = [m for b in blocks for part in (b.img_mlp, b.txt_mlp) for m in part.modules()]
        outside = [module for module in outside if isinstance(module, torch.nn.Linear)]
        here = {id(module) for module in diffusion_model.modules()}
        yield (
            name,
            {
                "own": own,
                "foreign": sum(id(module) not in here for module in inside),
                "layers a block": [len(inside) / len(blocks), len(outside) / len(blocks)],
                "smaller": max(m.weight.nbytes for m in inside) < min(m.weight.nbytes for m in outside),
                "last": len(last),
            },
        )
    try:
        known = {id(entry[-2]) for entry in model._load_list(for_dynamic=True)}
    except TypeError:
        return  # a host without dynamic VRAM
    first, _ = model.model.get_dynamic_vram__units()
    linears = [m for unit in first for m in unit.modules() if isinstance(m, torch.nn.Linear)]
    yield "host", {"unknown": sum(id(module) not in known for module in linears)}


class Room:
    """Stands in for comfy-aimdo's ModelVBAR, which there is none of without a GPU: what a model holds in VRAM."""

    def __init__(self, size: int) -> None:
        self.size, self.limits = size, list[int]()

    def loaded_size(self) -> int:
        return self.size

    def set_watermark_limit(self, size_bytes: int) -> None:
        self.limits.append(size_bytes)


def staying_in_vram(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    """What may not be pushed out of VRAM while a prompt is encoded. RAM plays the part of VRAM, of a card that is
    so large that what other programs take meanwhile does not matter."""
    importlib.import_module("short_text_encoder")  # as long as the tiny file's
    kind = comfy.sd.CLIPType.QWEN_IMAGE
    stock, clip = (comfy.sd.load_clip([models["text_encoder"]], clip_type=kind) for _ in range(2))
    stay_in_vram.keep_while_encoding(clip)
    tokens = clip.tokenize("a lighthouse at dusk")
    yield "encoded", {"difference": difference(stock.encode_from_tokens(tokens), clip.encode_from_tokens(tokens))}

    model, cpu = load_stock(models["fp8"]), torch.device("cpu")
    patchers = [model, clip.patcher]
    comfy.model_management.load_models_gpu(patchers)
    clip.cond_stage_model.set_clip_options({"execution_device": cpu})
    (text_model,) = clip.cond_stage_model.children()
    for patcher in patchers:
        patcher.is_dynamic = lambda: True  # after the host, which cannot stream on a CPU, has loaded them

    def limits(needed: int, *prompt: int) -> list[int]:
        model_room, text_room = Room(500 * GIB), Room(100 * GIB)
        model.model.dynamic_vbars, clip.patcher.model.dynamic_vbars = {cpu: model_room}, {cpu: text_room}
        stay_in_vram.WORKSPACE_BYTES = needed
        try:
            text_model([list(prompt)])
        except IndexError:
            model_room.limits.append(-1)
        return model_room.limits

    largest = text_model.transformer.get_input_embeddings().weight.nbytes
    left = comfy.model_management.get_free_memory(cpu) + 100 * GIB - largest
    yield (
        "in VRAM",
        {
            "room for both": limits(0, 1, 2, 3),
            "200 GiB short": limits(left + 200 * GIB, 1, 2, 3),
            "no room": limits(left + 900 * GIB, 1, 2, 3),
            "failed": limits(0, 10**9),
            "several": stay_in_vram.bytes_to_keep([5, 4, 3], free=2, needed=6),
            "prompt": stay_in_vram.bytes_needed(0, [range(3)]) - stay_in_vram.bytes_needed(0, [[]]),
            "image": stay_in_vram.bytes_needed(0, [[{"type": "image"}]]) - stay_in_vram.bytes_needed(0, [[]]),
        },
    )
    for patcher in patchers:
        del patcher.is_dynamic
    del model.model.dynamic_vbars, clip.patcher.model.dynamic_vbars


def reading_order(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    """When a first and a later load of a file expect its modulation layers to be read."""
    path = models["bf16"]
    facts: Facts = {"no table": load.order_of_modulation(path, False).name}
    facts["first load"] = load.order_of_modulation(path, True).name
    sample(load_tabled(path, load.own_folder(load.MODULATION_FOLDER)), steps=2)
    facts["later load"] = load.order_of_modulation(path, True).name
    facts["another file"] = load.order_of_modulation(models["distill"], True).name
    yield "reading order", facts


def reading_once(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    """What making the table tells about its progress, and what it leaves in the system's memory."""
    folder.mkdir(parents=True, exist_ok=True)
    path = shutil.copyfile(models["fp8"], str(folder / "own.safetensors"))  # other tests have the shared one in use
    told: list[int] = []
    keeps_all = why_it_keeps_all(Path(path).parent)
    if not keeps_all:
        with open(path, "rb") as file:
            os.fsync(file.fileno())  # what is not on the disk yet cannot be given up
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    for name, is_roomy in (("much RAM", True), ("little RAM", False)):
        modulation_weights.is_roomy = lambda answer=is_roomy: answer
        model = modulation.apply_modulation_table(load_stock(path), path, str(folder / name), told.append)
        sample(model, steps=2)
        share = None if keeps_all else modulation_in_memory(path)
        yield name, {"told": list(told), "in memory": share, "keeps all": keeps_all}
        told.clear()


def modulation_in_memory(path: str) -> float:
    """The share of a file's modulation layers that the page cache holds."""
    file = modulation_file.MappedFile(path)
    return page_cache_share(path, [file.span(name) for name in file.names if modulation_file.is_modulation(name)])


def benchmark_switches(folder: Path) -> Iterator[tuple[str, Facts]]:
    yield "without the file", {"on": switches.is_on("read-ahead")}
    file = folder / "user" / "__qwen_image_loader" / "without.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("block-prefetch\nread-ahead", encoding="utf-8")
    yield "with the file", {name: switches.is_on(name) for name in ("block-prefetch", "read-ahead", "lora-in-ram")}


def fast_disks(models: dict[str, str]) -> Iterator[tuple[str, Facts]]:
    args = comfy.cli_args.args
    if not hasattr(args, "fast_disk"):
        return
    before = args.fast_disk, args.high_ram
    answers, off = {}, {}
    try:
        for flags in ((False, False), (True, False), (True, True)):
            args.fast_disk, args.high_ram = flags
            answers[flags] = fast_disk.reads_again(models["fp8"])
            off[flags] = fast_disk.is_off()
    finally:
        args.fast_disk, args.high_ram = before
    yield "fast disk", {"off": answers[False, False], "on": answers[True, False], "high RAM": answers[True, True]}
    yield "fast disk could be set", {"off": off[False, False], "on": off[True, False], "high RAM": off[True, True]}
