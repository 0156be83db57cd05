"""Time the plan over 200 full-size model files: `python bench/bench_plan.py [--comfyui DIR]`.

Makes sparse files with the golden headers of the catalog (they take almost no disk), then plans through the same code
the node runs. Prints the first plan (every header is read) and the median of the following ones, as on each change of
a widget, with the bytes read per file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "demo"))
from comfyui_host import find_host  # noqa: E402
from load_pack import load_pack  # noqa: E402

FILES = 200
RUNS = 31
GOLDEN = ROOT / "tests" / "golden_headers"


def make_files(models: Path) -> list[tuple[Path, int]]:
    """200 sparse files of full size: every catalog file, and copies under other names. Returns (path, header bytes)."""
    from qwen_image_loader.planner.catalog import CATALOG

    made = []
    for number in range(FILES):
        row = CATALOG[number % len(CATALOG)]
        header = gzip.decompress((GOLDEN / f"{row.name}.json.gz").read_bytes())
        end = max(e["data_offsets"][1] for key, e in json.loads(header).items() if key != "__metadata__")
        copy = number // len(CATALOG)
        path = models / row.folder / (f"copy_{copy}" if copy else "") / (row.name if not copy else f"{copy}_{row.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            file.truncate(8 + len(header) + end)
        made.append((path, 8 + len(header)))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, default=None, help="a ComfyUI folder; else the one that is found")
    place = parser.parse_args().comfyui
    if place is None:
        host = find_host()
        if host is None:
            sys.exit("No ComfyUI found; name one with --comfyui DIR.")
        place = host.path
    sys.path.insert(0, str(place))
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import folder_paths

    load_pack()
    from qwen_image_loader.planner.request import LoadRequest
    from qwen_image_loader.runtime.model_files import find_model_files
    from qwen_image_loader.runtime.planning import plan_for

    with tempfile.TemporaryDirectory() as folder:
        made = make_files(Path(folder))
        for name in ("diffusion_models", "text_encoders", "vae", "loras"):
            folder_paths.add_model_folder_path(name, str(Path(folder) / name), is_default=True)
        seconds = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            plan = plan_for(LoadRequest("Qwen-Image"))
            seconds.append(time.perf_counter() - start)
        found = find_model_files()
    total = sum(f.size_bytes for f in found)
    print(
        f"{len(found)} files, {total / 1e12:.2f} TB; "
        f"plan: {plan.recipe} with {plan.files[0].name if plan.files else '-'}"
    )
    print(f"read per file: {max(n for _, n in made):,} bytes at most")
    print(f"first plan (all headers read): {seconds[0] * 1000:.0f} ms")
    print(f"median of {RUNS} more plans: {statistics.median(seconds[1:]) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
