"""Other versions of huggingface_hub beside the installed one, each in a folder of its own for PYTHONPATH."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from comfyui_host import REPOSITORY

CACHE = REPOSITORY / ".cache" / "huggingface_hub"
OLDER_VERSIONS = ("0.34.6", "0.36.2", "1.1.7", "1.17.0", "1.33.0")


def ensure_version(version: str) -> tuple[Path | None, str]:
    """The folder with that version, installed by pip the first time; or None and pip's last words."""
    place = CACHE / version
    if place.is_dir():
        return place, ""
    partial = place.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(partial)]
    done = subprocess.run([*command, f"huggingface_hub=={version}"], capture_output=True, text=True)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    partial.rename(place)
    return place, ""
