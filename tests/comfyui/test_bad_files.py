# ruff: noqa: E501 - tables and code for another process
"""Bad files in a running ComfyUI: each is answered by a message that names the file, the reason and the next step."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_fixtures import make_base
from comfyui_host import REPOSITORY, Host
from comfyui_server import ComfyServer
from in_comfyui import run_in_comfyui
from stock_graphs import DISTILLED, stock_template, with_loader
from workflow_graphs import one_step

GOLDEN = REPOSITORY / "tests" / "golden_headers"
BASE = "qwen_image_fp8_e4m3fn.safetensors"
L8 = "Qwen-Image-Lightning-8steps-V1.0.safetensors"
L4_2512 = "Qwen-Image-2512-Lightning-4steps-V1.0-bf16.safetensors"
MODELS = (
    f"diffusion_models/{BASE}",
    f"diffusion_models/{DISTILLED}",
    "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors",
    "vae/qwen_image_vae.safetensors",
    f"loras/{L8}",
    f"loras/{L4_2512}",
)


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A small valid file of zeros."""
    sizes = {"BF16": 2, "F8_E4M3": 1, "F32": 4}
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        count = sizes[dtype]
        for size in shape:
            count *= size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + count]}
        end += count
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def write_sparse(path: Path, golden: str) -> None:
    """A full-size file of zeros with a golden header; takes almost no disk."""
    text = gzip.decompress((GOLDEN / f"{golden}.json.gz").read_bytes())
    end = max(entry["data_offsets"][1] for name, entry in json.loads(text).items() if name != "__metadata__")
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def add_bad_files(models: Path) -> None:
    diffusion = models / "diffusion_models"
    good = (diffusion / BASE).read_bytes()
    (diffusion / "cut.safetensors").write_bytes(good[:-1000])
    (diffusion / "empty.safetensors").write_bytes(b"")
    (diffusion / "page.safetensors").write_bytes(b"<!DOCTYPE html><title>Sign in</title>" * 50)
    (diffusion / "head.safetensors").write_bytes((10**6).to_bytes(8, "little") + b"{" * 100)
    write_safetensors(diffusion / "flux.safetensors", {"double_blocks.0.img_attn.qkv.weight": ("BF16", [4, 4])})
    write_safetensors(
        diffusion / "sdxl.safetensors",
        {"model.diffusion_model.input_blocks.0.0.weight": ("BF16", [4, 4]), "label_emb.0.0.weight": ("BF16", [4, 4])},
    )
    write_safetensors(
        diffusion / "foreign.safetensors",
        {
            "txt_norm.weight": ("BF16", [3584]),
            "transformer_blocks.0.attn.add_q_proj.weight": ("F8_E4M3", [8, 8]),
            "transformer_blocks.0.attn.add_q_proj.weight_scale": ("F32", [1]),
        },
    )
    for folder in ("a", "b"):
        (diffusion / folder).mkdir()
        (diffusion / folder / "twin.safetensors").write_bytes(good)
    write_safetensors(
        models / "text_encoders" / "qwen_2.5_vl_fp16.safetensors",
        {"model.layers.0.self_attn.k_proj.bias": ("BF16", [256]), "model.embed_tokens.weight": ("BF16", [4, 4])},
    )
    write_sparse(models / "vae" / "wan_2.1_vae.safetensors", "qwen_image_vae.safetensors")


@pytest.fixture(scope="module")
def bad_server(comfyui_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = make_base(tmp_path_factory.mktemp("bad-files"), comfyui_host, MODELS)
    add_bad_files(base / "models")
    with ComfyServer(comfyui_host, base) as server:
        yield server


def loader_graph(server: ComfyServer, **values: Any) -> dict[str, Any]:
    """The template at 64 pixels with Load Qwen-Image, its plan shown by a text node."""
    graph = one_step(with_loader(stock_template(server.object_info(), "Lightning 8 steps", side=64), **values))
    graph["text"] = {"class_type": "PreviewAny", "inputs": {"source": ["loader", 7]}}
    return graph


CASES = [
    ("truncated", {"diffusion_model_file": "cut.safetensors"}, "cut.safetensors in models/diffusion_models", "truncated"),
    ("empty", {"diffusion_model_file": "empty.safetensors"}, "empty.safetensors", "0 bytes"),
    ("html", {"diffusion_model_file": "page.safetensors"}, "page.safetensors", "web page"),
    ("header too long", {"diffusion_model_file": "head.safetensors"}, "head.safetensors", "1,000,000 bytes"),
    ("Flux", {"diffusion_model_file": "flux.safetensors"}, "flux.safetensors", "Flux"),
    ("SDXL", {"diffusion_model_file": "sdxl.safetensors"}, "sdxl.safetensors", "SDXL"),
    ("foreign scaled fp8", {"diffusion_model_file": "foreign.safetensors"}, "foreign.safetensors", "not marked for ComfyUI"),
    ("Wan VAE", {"vae_file": "wan_2.1_vae.safetensors"}, "wan_2.1_vae.safetensors", "qwen_image_vae.safetensors"),
    ("3B encoder", {"text_encoder_file": "qwen_2.5_vl_fp16.safetensors"}, "models/text_encoders", "OmniGen2"),
    ("two files with one name", {"diffusion_model_file": "twin.safetensors"}, "a/twin.safetensors, b/twin.safetensors", "subfolder"),
    ("a name with path parts", {"lora_file": "../../secret.safetensors"}, "'../../secret.safetensors' is a path", "models/loras"),
    ("a missing file", {"lora_file": "nowhere.safetensors"}, "no file 'nowhere.safetensors'", "back to 'auto'"),
    ("missing files", {"lora_file": "Qwen-Image-Lightning-8steps-V2.0.safetensors"}, "8steps-V2.0.safetensors (1.6 GiB) -> models/loras/", "https://huggingface.co/lightx2v/"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "values", "names", "says"), CASES, ids=[c[0] for c in CASES])
def test_a_bad_choice_ends_with_a_message_that_helps(
    bad_server: ComfyServer, case: str, values: dict[str, Any], names: str, says: str
) -> None:
    result = bad_server.run(loader_graph(bad_server, **values))
    assert result.status == "error"
    assert names in result.error
    assert says in result.error


def test_an_impossible_combination_is_refused_before_anything_runs(bad_server: ComfyServer) -> None:
    result = bad_server.run(loader_graph(bad_server, model="Qwen-Image-2512", recipe="distilled"))
    assert result.status == "refused"
    assert "Qwen-Image-2512 has no recipe 'distilled'. Choose 'auto' or one of" in json.dumps(dict(result.node_errors))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"lora_file": L4_2512}, "was made for Qwen-Image-2512, the model is Qwen-Image"),
        ({"diffusion_model_file": DISTILLED, "lora_file": L8}, "together they spoil it"),
        ({"recipe": "Lightning 8 steps"}, "grid"),
    ],
    ids=["LoRA of another release", "LoRA on distill", "Lightning on plain fp8"],
)
def test_a_bad_pair_that_was_asked_for_runs_with_a_warning(
    bad_server: ComfyServer, values: dict[str, Any], says: str
) -> None:
    result = bad_server.run(loader_graph(bad_server, **values))
    assert result.status == "success", result.error
    assert "Warning:" in str(result.outputs["text"])
    assert says in str(result.outputs["text"])


def test_a_broken_copy_is_passed_over_and_named(bad_server: ComfyServer) -> None:
    """auto still finds the good files among the bad ones, one of them in a subfolder."""
    result = bad_server.run(loader_graph(bad_server, recipe="distilled"))
    assert result.status == "success", result.error


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no file permissions of this kind on Windows")
def test_an_unreadable_file_says_so(comfyui_host: Host, tmp_path: Path) -> None:
    """In a process without rights to the file; root reads everything, so the process gives its rights up."""
    folder = tmp_path / "models" / "diffusion_models"
    write_safetensors(folder / "qwen_locked.safetensors", {"txt_norm.weight": ("BF16", [3584])})
    (folder / "qwen_locked.safetensors").chmod(0)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    code = f"""
import os, folder_paths
from qwen_image_loader.runtime.model_files import find_model_files
folder_paths.add_model_folder_path("diffusion_models", {str(folder)!r}, is_default=True)
if os.getuid() == 0:
    os.setuid(65534)
answer([f.problem for f in find_model_files() if f.name == "qwen_locked.safetensors"])
"""
    assert run_in_comfyui(comfyui_host, code) == ["it cannot be read (Permission denied)"]


def test_a_file_that_is_replaced_is_seen_at_the_next_run(bad_server: ComfyServer) -> None:
    path = bad_server.base / "models" / "loras" / L8
    graph = loader_graph(bad_server, recipe="Lightning 8 steps", lora_file=L8)
    assert bad_server.run(graph).status == "success"
    good = path.read_bytes()
    path.unlink()  # the file is a link into a cache that other tests use
    path.write_bytes(good[:-7])
    broken = bad_server.run(graph)
    assert broken.status == "error"
    assert f"{L8} in models/loras cannot be used: it is truncated" in broken.error
    path.write_bytes(good)
    assert bad_server.run(graph).status == "success"


IN_PROCESS = """
import os, shutil, folder_paths
from server import PromptServer
import asyncio
PromptServer(asyncio.new_event_loop())
for name in ("diffusion_models", "text_encoders", "vae", "loras"):
    folder_paths.add_model_folder_path(name, os.path.join({models!r}, name), is_default=True)
from qwen_image_loader.planner.request import LoadRequest
from qwen_image_loader.runtime.load import LoadError, load_plan
from qwen_image_loader.runtime.planning import plan_for
plan = plan_for(LoadRequest("Qwen-Image", recipe="base"))
"""


def test_a_file_that_changes_under_the_plan_is_not_loaded(comfyui_host: Host, bad_server: ComfyServer) -> None:
    """The plan is made, then the VAE is swapped, then the plan is carried out."""
    models = str(bad_server.base / "models")
    code = f"""
vae = os.path.join({models!r}, "vae", "qwen_image_vae.safetensors")
data = open(vae, "rb").read()
os.unlink(vae)
open(vae, "wb").write(data[:-100])
try:
    load_plan(plan, "1")
    answer("loaded")
except LoadError as error:
    answer(str(error))
finally:
    open(vae, "wb").write(data)
"""
    said = run_in_comfyui(comfyui_host, IN_PROCESS.format(models=models) + code)
    assert "models/vae/qwen_image_vae.safetensors was replaced" in said


def test_weights_are_held_in_the_dtype_that_the_plan_names(comfyui_host: Host, bad_server: ComfyServer) -> None:
    code = """
from dataclasses import replace
held = []
for dtype in ("", "float8_e4m3fn"):
    model = load_plan(replace(plan, weight_dtype=dtype), "1").model
    weight = model.model.diffusion_model.transformer_blocks[0].img_mlp.net[2].weight
    held.append([str(weight.dtype), str(model.model.get_dtype_inference())])
answer(held)
"""
    models = str(bad_server.base / "models")
    as_comfyui_likes, as_told = run_in_comfyui(comfyui_host, IN_PROCESS.format(models=models) + code)
    assert as_comfyui_likes == ["torch.float32", "torch.float32"]
    assert as_told == ["torch.float8_e4m3fn", "torch.float32"]


def test_a_lora_that_fits_nothing_is_not_silently_ignored(bad_server: ComfyServer) -> None:
    write_safetensors(
        bad_server.base / "models" / "loras" / "stranger.safetensors",
        {
            "transformer_blocks.99.img_mlp.net.2.lora_down.weight": ("BF16", [4, 12288]),
            "transformer_blocks.99.img_mlp.net.2.lora_up.weight": ("BF16", [3072, 4]),
        },
    )
    result = bad_server.run(loader_graph(bad_server, recipe="base", lora_file="stranger.safetensors"))
    assert result.status == "error"
    assert "None of the 2 tensors of models/loras/stranger.safetensors belong to this model" in result.error


def test_one_folder_for_every_kind_of_model(comfyui_host: Host, bad_server: ComfyServer) -> None:
    """As extra_model_paths.yaml may say: what a file is depends on what is looked for."""
    vae = bad_server.base / "models" / "vae" / "qwen_image_vae.safetensors"
    code = f"""
from qwen_image_loader.runtime.identify_file import identify_file
found = [identify_file(role, role, "x.safetensors", {str(vae)!r}) for role in ("diffusion_model", "vae", "lora")]
answer([file.identity is not None for file in found])
"""
    assert run_in_comfyui(comfyui_host, code) == [False, True, False]


def test_inputs_that_come_through_a_link_are_judged_when_their_value_is_known(comfyui_host: Host) -> None:
    code = """
from qwen_image_loader.nodes.load_qwen_image import LoadQwenImage
check = LoadQwenImage.validate_inputs
answer([check(model=None, recipe=None), check(), check(model="Qwen-Image-2512", recipe="distilled")])
"""
    linked, missing, wrong = run_in_comfyui(comfyui_host, code)
    assert linked is missing is True
    assert "has no recipe 'distilled'" in wrong
