"""Load Qwen-Image without a browser. From ComfyUI's folder, with the Python that runs ComfyUI:

    python custom_nodes/qwen-image-loader/command_line.py                   the plan for this machine
    python custom_nodes/qwen-image-loader/command_line.py fetch --dry-run   what would be fetched
    python custom_nodes/qwen-image-loader/command_line.py fetch             fetch it

`--help` lists the options. Anywhere else, `--models-directory` names the models folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "qwen_image_loader"


def main() -> int:
    """Loads the pack from its folder, whose name need not be a package name, as ComfyUI does."""
    folder = Path(__file__).absolute().parent
    # Python puts a script's folder on the path, where this pack's nodes/ would hide ComfyUI's nodes.py.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").absolute() != folder]
    place = [str(folder)]
    spec = importlib.util.spec_from_file_location(PACKAGE, folder / "__init__.py", submodule_search_locations=place)
    if spec is None or spec.loader is None:
        raise ImportError(f"no pack in {folder}")
    pack = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    status: int = importlib.import_module(f"{PACKAGE}.runtime.command_line").main()
    return status


if __name__ == "__main__":
    sys.exit(main())
