"""What the registry would get: only what users need, no word its scanner flags, no work at import, clean layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_host import REPOSITORY

# What the registry's scanner reads as network, process or environment access (its rules run over code and text alike).
FLAGGED = (
    ".connect(",
    ".bind(",
    ".send(",
    "subprocess",
    "os.system",
    "aiohttp.ClientSession",
    "os.environ",
    "://raw.githubusercontent.com",
    "urlopen",
    "requests.",
    "eval(",
    "exec(",
)


def shipped_files() -> list[Path]:
    """Tracked and new files that .comfyignore does not name."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    ignored = (REPOSITORY / ".comfyignore").read_text(encoding="utf-8").split()
    kept = [name for name in names if not any(name == rule or name.startswith(rule) for rule in ignored)]
    return [REPOSITORY / name for name in kept if (REPOSITORY / name).is_file()]


SHIPPED = shipped_files()
READ_BY_SCANNER = [path for path in SHIPPED if path.suffix in (".py", ".js", ".mjs", ".md")]


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", READ_BY_SCANNER, ids=relative)
def test_the_registry_scanner_has_nothing_to_flag(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [word for word in FLAGGED if word in text] == []


def test_development_files_are_not_shipped() -> None:
    folders = {relative(path).split("/")[0] for path in SHIPPED}
    assert not folders & {"tests", "bench", "demo", ".github", ".ci", "noxfile.py"}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "planner").rglob("*.py")), ids=relative)
def test_the_planner_needs_only_the_standard_library(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "the planner imports nothing from above"
            imported |= {(node.module or "").split(".")[0]} if node.level == 0 else set()
    assert imported <= sys.stdlib_module_names | {"__future__"}


def test_importing_the_pack_does_nothing_but_register() -> None:
    script = (
        "import sys; from load_pack import load_pack; load_pack();"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'huggingface_hub', 'numpy', 'safetensors'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY / "demo", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
