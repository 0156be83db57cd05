"""A 2 GB file from a hub on loopback: the pack's download against `huggingface_hub.hf_hub_download` alone.

Both run in the same session, in turns, each in a process of its own, with the same library and hub. The pack's download
also checks the sha256 of every byte and the header, and makes sure the file is on the disk; hf_hub_download does not.
Prints seconds, MB/s, the ratio (the project asks for at least 0.7), and how much memory the process grew by.

    python bench/bench_download.py [--gigabytes 2] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "downloads")]

REPO, NAME = "org/models", "large.safetensors"
MB = 1_000_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--gigabytes", type=float, default=2.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, help="where to write; default: the temporary folder")
    options.add_argument("--task", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.task:
        TASKS[chosen.task](json.loads(sys.stdin.read()))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        compare(Path(folder), int(chosen.gigabytes * 1000) * MB, chosen.rounds)


def compare(folder: Path, size: int, rounds: int) -> None:
    from hub import Hub

    source = folder / "served" / NAME
    sha256 = ""
    write_model(source, size)
    with Hub() as hub:
        sha256 = hub.add(REPO, NAME, source)
        task = {"folder": str(folder / "fetched"), "size": size, "sha256": sha256}
        environment = {**os.environ, **hub.environment(folder / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        results: dict[str, list[dict[str, float]]] = {name: [] for name in TASKS}
        for _ in range(rounds):
            for name in TASKS:
                results[name].append(run_task(name, task, environment))
                shutil.rmtree(folder / "fetched")
    report(results, size)


def run_task(name: str, task: dict[str, object], environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), "--task", name]
    done = subprocess.run(
        command, input=json.dumps(task), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(results: dict[str, list[dict[str, float]]], size: int) -> None:
    import huggingface_hub

    print(f"{size / 1e9:.1f} GB from loopback, huggingface_hub {huggingface_hub.__version__}, {os.cpu_count()} CPUs,")
    print(f"Python {platform.python_version()} on {platform.system()}; median of {len(results['alone'])} rounds")
    for name, label in LABELS.items():
        seconds = [result["seconds"] for result in results[name]]
        middle = statistics.median(seconds)
        memory = max(result["grown_mb"] for result in results[name])
        spread = f"{min(seconds):.2f} to {max(seconds):.2f} s"
        print(f"  {label:42} {middle:6.2f} s ({spread}) {size / MB / middle:6.0f} MB/s, memory +{memory:.0f} MB")
    ratio = statistics.median(r["seconds"] for r in results["alone"]) / statistics.median(
        r["seconds"] for r in results["pack"]
    )
    print(f"  speed of the pack's download / hf_hub_download alone: {ratio:.2f} (at least 0.70 is asked for)")


def alone(task: dict[str, object]) -> None:
    """hf_hub_download and nothing else."""
    from huggingface_hub import hf_hub_download

    measure(lambda: hf_hub_download(REPO, NAME, local_dir=str(task["folder"])))


def pack(task: dict[str, object]) -> None:
    """The pack's download: staged, hashed beside the transfer, flushed to disk, renamed."""
    from load_pack import load_pack

    load_pack()
    from qwen_image_loader.planner.catalog_file import CatalogFile
    from qwen_image_loader.runtime.download_job import Job

    size, sha256 = int(str(task["size"])), str(task["sha256"])
    row = CatalogFile(NAME, "vae", REPO, NAME, "bf16", size, size_is_exact=True, sha256=sha256)
    job = Job([row], lambda folder: [f"{task['folder']}/{folder}"])

    def fetch() -> None:
        job.start()
        while not job.wait(60):
            pass

    measure(fetch)
    if job.error:
        raise job.error


def measure(work) -> None:  # type: ignore[no-untyped-def]
    """Run `work` and print its seconds and by how much the process's memory grew at most, in MB."""
    import huggingface_hub.file_download  # noqa: F401 - its import is not part of the download
    import psutil

    process, ended = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.02):
            most = max(most, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    ended.set()
    thread.join()
    print(json.dumps({"seconds": seconds, "grown_mb": (most - before) / MB}))


def write_model(path: Path, size: int) -> None:
    """A valid safetensors file of `size` bytes."""
    path.parent.mkdir(parents=True)
    weights = size - 8 - 128
    header = json.dumps({"w": {"dtype": "U8", "shape": [weights], "data_offsets": [0, weights]}}).encode().ljust(128)
    block = os.urandom(10 * MB)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        while weights > 0:
            weights -= file.write(block[:weights])


TASKS = {"alone": alone, "pack": pack}
LABELS = {"alone": "hf_hub_download alone", "pack": "the pack, sha256 and header checked"}

if __name__ == "__main__":
    main()
