"""The scripts that every browser loads: each one parses as an ES module."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from comfyui_host import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "js").rglob("*.js"))


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.node
@pytest.mark.parametrize("script", SCRIPTS, ids=relative)
def test_it_parses(script: Path) -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "--check"], input=script.read_bytes(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
