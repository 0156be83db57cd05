"""The main job, end to end: a real ComfyUI, the pack, the template workflow, and its image in demo-output/.

Real Qwen-Image files in the host's model folders are used when they are there; otherwise the tiny demo models, whose
image is noise, on the CPU. Where no ComfyUI can be run, the plan for this machine is printed instead.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import time
import webbrowser
from pathlib import Path

from comfyui_host import PACK_FOLDER, REPOSITORY, Host, find_host, why_no_comfyui
from load_pack import load_pack

OUTPUT = REPOSITORY / "demo-output"
WORKFLOWS = REPOSITORY / "example_workflows"
LOADER = "QIL_LoadQwenImage"
PLAN_SLOT = 7
PLAN_EVENT = "qwen-image-loader.executed"
MODEL_FOLDERS = ("diffusion_models", "unet", "text_encoders", "clip", "vae", "loras")
REAL_FILE_BYTES = 2**30  # no real diffusion model is smaller, no tiny one larger
TINY_SIDE = 256  # pixels: noise needs no 1328 x 1328, and a CPU would take minutes over its decoding


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--open", action="store_true", help="open the editor on the workflow, serve until Ctrl+C")
    stay = options.parse_args().open
    host = find_host()
    reason = why_no_comfyui()
    if host is None or reason:
        print_plan()
        print(f"\nThis was the plan only: {reason}, then run this command again.")
        return 0
    return run(host, stay)


def print_plan() -> None:
    """The pack's own plan for this machine, by its command line, which needs no ComfyUI."""
    load_pack()
    importlib.import_module("qwen_image_loader.runtime.command_line").main([])


def run(host: Host, stay: bool) -> int:
    """Start the server, run the workflow, leave image and plan; with `stay`, open the editor and keep serving."""
    from comfyui_server import ComfyServer, link_pack
    from workflow_graphs import convert, nodes_of, reduced

    base = OUTPUT / "comfyui"
    shutil.rmtree(base / "custom_nodes", ignore_errors=True)
    link_pack(base / "custom_nodes")
    real = has_real_models(host)
    args = use_real_models(host, base) if real else use_tiny_models(host, base)
    workflow = template_workflow()
    print(f"ComfyUI {host.version} at {host.path}, {'its own models' if real else 'tiny demo models'}; starting ...")
    with ComfyServer(host, base, args) as server:
        graph = convert(workflow, server.object_info())
        if not real:
            graph = reduced(graph, TINY_SIDE)
            print(f"The demo models hold random numbers: the image will be noise, {TINY_SIDE} x {TINY_SIDE} pixels.")
        (loader,) = nodes_of(graph, LOADER)
        graph["plan"] = {"class_type": "PreviewAny", "inputs": {"source": [loader, PLAN_SLOT]}}
        began = time.monotonic()
        result = server.run(graph, timeout=3600)
        if result.status != "success":
            print(f"The workflow did not run: {result.error}\n{json.dumps(dict(result.node_errors), indent=1)}")
            return 1
        (plan,) = result.outputs["plan"]["text"]
        (facts,) = [data["plan"] for kind, data in result.messages if kind == PLAN_EVENT]
        (OUTPUT / "plan.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (image,) = server.images(result)
        (OUTPUT / "image.png").write_bytes(image)
        print(f"\n{plan}\n\nThe workflow {workflow.name} ran in {time.monotonic() - began:.0f} s.")
        print(f"Image: {OUTPUT / 'image.png'}\nPlan:  {OUTPUT / 'plan.json'}")
        if not stay:
            print(f"The server was at {server.url}; `nox -s demo -- --open` opens the editor there and keeps serving.")
            return 0
        address = f"{server.url}/?template={workflow.stem}&source={PACK_FOLDER}"
        print(f"The editor: {address}   (Ctrl+C ends it)")
        webbrowser.open(address)
        try:
            while server.answers():
                time.sleep(1)
        except KeyboardInterrupt:
            print("ended")
    return 0


def template_workflow() -> Path:
    """The example workflow that replicates the official template."""
    (found,) = WORKFLOWS.glob("*template*.json")
    return found


def has_real_models(host: Host) -> bool:
    """Whether the host's model folders hold a full-size Qwen-Image diffusion model."""
    folders = [host.path / "models" / name for name in ("diffusion_models", "unet")]
    files = [path for folder in folders for path in folder.rglob("qwen_image*.safetensors")]
    return any(path.stat().st_size > REAL_FILE_BYTES for path in files)


def use_real_models(host: Host, base: Path) -> tuple[str, ...]:
    """Let the server see the host's model folders; returns its flags."""
    import torch

    folders = {name: name for name in MODEL_FOLDERS}
    paths = base / "host_models.yaml"  # JSON is YAML
    paths.write_text(json.dumps({"host": {"base_path": str(host.path / "models"), "is_default": True, **folders}}))
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    return ("--extra-model-paths-config", str(paths), *(() if accelerated else ("--cpu",)))


def use_tiny_models(host: Host, base: Path) -> tuple[str, ...]:
    """Make the demo models and let the server load their one-layer text encoder; returns the server's flags."""
    from tiny_models import SHORT_TEXT_ENCODER, TEMPLATE_SET, ensure_tiny_models, place_models

    shutil.copytree(SHORT_TEXT_ENCODER, base / "custom_nodes" / SHORT_TEXT_ENCODER.name)
    shutil.rmtree(base / "models", ignore_errors=True)
    place_models(ensure_tiny_models(host, TEMPLATE_SET), base / "models")
    return ("--cpu",)


if __name__ == "__main__":
    sys.exit(main())
