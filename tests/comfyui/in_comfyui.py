"""Run a few lines of Python inside a real ComfyUI's modules (its folder first on sys.path, --cpu), serverless."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from comfyui_host import REPOSITORY, Host

_PROLOGUE = """
import json, sys
sys.argv = ["worker", "--cpu"]
sys.path[:0] = [{host!r}, {demo!r}]
import comfy.options
comfy.options.enable_args_parsing()
from load_pack import load_pack
load_pack()
def answer(value):
    print("ANSWER " + json.dumps(value))
"""


def run_in_comfyui(host: Host, code: str, timeout: float = 240) -> Any:
    """What `code` passes to answer(...). Raises AssertionError with the output when it fails or gives no answer."""
    prologue = _PROLOGUE.format(host=str(host.path), demo=str(REPOSITORY / "demo"))
    done = subprocess.run(
        [sys.executable, "-c", prologue + code], cwd=host.path, capture_output=True, text=True, timeout=timeout
    )
    answers = [line[7:] for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert answers, f"no answer from:\n{code}"
    return json.loads(answers[-1])
