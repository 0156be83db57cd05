"""Where a ComfyUI is: the one answer that the tests, the demo and nox share. Standard library only."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACK_FOLDER = "qwen-image-loader"
GIT_URL = "https://github.com/comfyanonymous/ComfyUI"


@dataclass(frozen=True)
class Host:
    """A ComfyUI checkout. `version` is comfyui_version.__version__, for instance "0.33.0"."""

    path: Path
    version: str

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, for comparisons."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])

    def accepts(self, flag: str) -> bool:
        """Whether this version's command line knows `flag` (older hosts lack some)."""
        return f'"{flag}"' in (self.path / "comfy" / "cli_args.py").read_text(encoding="utf-8")


def read_host(path: Path) -> Host | None:
    """The host at `path`, or None: a folder counts when main.py and comfyui_version.py exist."""
    marker = path / "comfyui_version.py"
    if not (path / "main.py").is_file() or not marker.is_file():
        return None
    found = re.search(r"__version__\s*=\s*[\"']([^\"']+)", marker.read_text(encoding="utf-8"))
    return Host(path.resolve(), found.group(1) if found else "0")


def default_workspace() -> Path:
    """comfy-cli's default workspace on this system (source: comfy_cli.constants)."""
    documents = "Documents" if sys.platform in ("win32", "darwin") else ""
    return Path.home() / documents / "comfy" / "ComfyUI"


def find_host() -> Host | None:
    """COMFYUI_PATH if set (and nothing else then), else comfy-cli's default workspace, else None."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return read_host(Path(named).expanduser())
    for place in (Path.home() / "comfy" / "ComfyUI", default_workspace()):
        host = read_host(place)
        if host:
            return host
    return None


def find_older_hosts() -> list[Host]:
    """Older checkouts to load the pack in: COMFYUI_OLDER_PATHS (joined by os.pathsep), else every host in ~/hosts."""
    named = os.environ.get("COMFYUI_OLDER_PATHS")
    folder = Path.home() / "hosts"
    if named:
        places = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    else:
        places = sorted(folder.iterdir()) if folder.is_dir() else []
    return [host for host in map(read_host, places) if host]


def missing_host_reason() -> str:
    """One line that says which ComfyUI was looked for and what to set."""
    named = os.environ.get("COMFYUI_PATH")
    looked = f"COMFYUI_PATH is {named}, which has no main.py" if named else f"none at {default_workspace()}"
    return f"no ComfyUI ({looked}); set COMFYUI_PATH to a ComfyUI folder"


def why_no_comfyui() -> str:
    """The reason why ComfyUI tests cannot run here, or ""."""
    if find_host() is None:
        return missing_host_reason()
    needed = ("torch", "aiohttp", "transformers", "comfyui_workflow_templates")
    missing = [name for name in needed if not importlib.util.find_spec(name)]
    if missing:
        return f"this Python lacks {', '.join(missing)} of ComfyUI's requirements; run `nox -s tests`"
    return ""
