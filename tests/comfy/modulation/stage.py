"""usage: stage.py SCENE FOLDER < models.json: runs a scene, prints one JSON line per comparison.

COMFYUI_PATH names the ComfyUI, COMFYUI_ARGS its arguments ("--cpu" when unset).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

_, scene, folder = sys.argv
models = json.load(sys.stdin)
sys.path.insert(0, os.environ["COMFYUI_PATH"])
sys.path += [str(Path(__file__).resolve().parents[3] / folder) for folder in ("tests/comfyui", "demo")]
sys.argv = [sys.argv[0], *os.environ.get("COMFYUI_ARGS", "--cpu").split()]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
# First, as in main.py: older hosts' nodes.py puts comfy/ on the path, which has a utils.py.
importlib.import_module("utils.extra_config")

import disk_scenes  # noqa: E402, F401
import host_scenes  # noqa: E402, F401
import streaming_scenes  # noqa: E402, F401
import torch  # noqa: E402
from scenes import SCENES  # noqa: E402

with torch.inference_mode():  # as nodes run in ComfyUI
    for name, facts in SCENES[scene](models, Path(folder)):
        print("FACTS", json.dumps([name, facts]), flush=True)
