"""The memory benchmark stays alive: its small run on the CPU, its limits, and what it makes of numbers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from comfyui_host import REPOSITORY, Host
from page_cache_share import page_cache_share, why_it_keeps_all
from PIL import Image

BENCH = REPOSITORY / "bench"
sys.path.append(str(BENCH))

from sweep import card, session  # noqa: E402
from sweep.cells import (  # noqa: E402
    ALL_CELLS,
    COLD,
    DISTILLED,
    GIB,
    LIGHTNING_8,
    LOADER,
    NEW_SEED,
    RELOAD,
    STOCK,
    Cell,
    parse_cells,
)
from sweep.disk_trace import disk_rest  # noqa: E402
from sweep.environment import code_id  # noqa: E402
from sweep.first_images import FirstImages  # noqa: E402
from sweep.limits import ControlGroup, LimitError, make_cold, read_io_stat, why_no_ram_limit, write_site_hook  # noqa: E402
from sweep.results import Results, Row, medians  # noqa: E402
from sweep.session import predicted_peak_bytes, read_step_bar, unload  # noqa: E402
from sweep.table import failure_list, result_table  # noqa: E402
from sweep.targets import verdicts  # noqa: E402


def in_new_python(code: str, **variables: str) -> Mapping[str, int]:
    """What a Python with further variables prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    answer: Mapping[str, int] = json.loads(done.stdout)
    return answer


MIB = 1024**2
ASK_PSUTIL = "import json, psutil; print(json.dumps(psutil.virtual_memory()._asdict()))"


def row(cell: str, side: str, **values: object) -> Row:
    run = {"recipe": LIGHTNING_8, "kind": NEW_SEED, "repeat": 0, "status": "success"}
    limits = {"vram_gib": 8.0, "ram_gib": 32.0}
    return Row(**{**run, **limits, "cell": cell, "side": side, **values})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small_run(comfyui_host: Host, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The benchmark's CPU mode: (its output folder, what it printed)."""
    output = tmp_path_factory.mktemp("benchmark")
    command = [sys.executable, str(BENCH / "bench_memory.py"), "--cpu", "--output", str(output), "--check-latents"]
    done = subprocess.run(
        [*command, "--comfyui", str(comfyui_host.path), "--runs", COLD, NEW_SEED, "--graphs", LOADER, STOCK],
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout


def test_the_small_run_measures_both_graphs_and_their_images_are_equal(small_run: tuple[Path, str]) -> None:
    results = Results.read(small_run[0] / "results.json")
    assert [row.status for row in results.rows] == ["success"] * 4
    for stock, loader in zip(results.rows[:2], results.rows[2:], strict=True):
        assert (stock.side, loader.side) == (STOCK, LOADER)
        assert stock.image == loader.image != ""
        assert loader.difference == 0, "stock comes first, whatever the command line's order"
        for measured in (stock, loader):
            assert measured.seconds
            assert measured.seconds_per_step
            assert measured.steps == 8
            assert measured.peak_rss_bytes
            assert measured.node_seconds["KSampler"] > 0
            assert sum(measured.node_seconds.values()) <= measured.seconds
    assert results.rows[0].image != results.rows[1].image, "another seed must give another image"


def test_a_shared_server_starts_each_recipe_from_nothing(comfyui_host: Host, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "bench_memory.py"), "--cpu", "--share", "--output", str(tmp_path)]
    subprocess.run(
        [*command, "--comfyui", str(comfyui_host.path), "--recipes", LIGHTNING_8, DISTILLED, "--runs", COLD, NEW_SEED],
        check=True,
        capture_output=True,
        timeout=550,
    )
    rows = Results.read(tmp_path / "results.json").rows
    runs = [(LIGHTNING_8, COLD), (LIGHTNING_8, NEW_SEED), (DISTILLED, RELOAD), (DISTILLED, NEW_SEED)]
    assert [(row.side, row.recipe, row.kind) for row in rows] == [
        (side, *run) for side in (STOCK, LOADER) for run in runs
    ]
    assert [row.server_start_seconds is not None for row in rows] == [True, False, False, False] * 2
    for stock, loader in zip(rows[:4], rows[4:], strict=True):
        assert stock.image == loader.image != ""
        assert loader.difference == 0
    reloads = [row for row in rows if row.kind == RELOAD]
    loaders = ({"UNETLoader", "CLIPLoader", "VAELoader"}, {"QIL_LoadQwenImage"})
    assert all(nodes <= row.node_seconds.keys() for row, nodes in zip(reloads, loaders, strict=True)), (
        "nothing was kept"
    )


def test_images_are_compared_with_the_first_graphs_of_the_same_run() -> None:
    def png(value: int, size: int = 4) -> list[bytes]:
        file = BytesIO()
        Image.new("RGB", (size, size), (value, 7, 7)).save(file, "PNG")
        return [file.getvalue()]

    images = FirstImages()
    digest, difference = images.compare("cold", "loader", png(100))
    assert difference is None
    assert images.compare("cold", "loader", png(90))[1] is None, "a graph is not compared with itself"
    assert images.compare("cold", "loader, modulation off", png(100)) == (digest, 0)
    assert images.compare("cold", "stock", png(97))[1] == 3
    assert images.compare("new seed", "stock", png(97))[1] is None
    assert images.compare("cold", "stock", png(100, size=8))[1] is None


def test_the_small_run_finds_equal_latents(small_run: tuple[Path, str]) -> None:
    (check,) = Results.read(small_run[0] / "results.json").latent_checks
    assert check["identical"] is True, check


def test_the_small_run_leaves_a_plot_and_says_what_it_is(small_run: tuple[Path, str]) -> None:
    output, printed = small_run
    with Image.open(output / "plot.png") as plot:
        plot.load()
        assert plot.width > 500
    assert "tiny models" in printed
    assert "loader" in printed


def test_results_can_be_joined_and_drawn_again(small_run: tuple[Path, str], tmp_path: Path) -> None:
    one = str(small_run[0] / "results.json")
    command = [sys.executable, str(BENCH / "bench_memory.py"), "--output", str(tmp_path), "--redraw", one, one]
    subprocess.run([*command, "--runs", NEW_SEED, "--graphs", LOADER], check=True, capture_output=True)
    assert (tmp_path / "plot.png").is_file()
    joined = Results.read(tmp_path / "results.json")
    assert [(r.side, r.kind) for r in joined.rows] == [(LOADER, NEW_SEED)] * 2


def test_reloads_can_be_chosen_of_results_and_not_asked_for(tmp_path: Path) -> None:
    rows = [row("8x32", LOADER, kind=kind) for kind in (COLD, RELOAD, NEW_SEED)]
    Results({"gpu": None}, rows).write(tmp_path / "results.json")
    command = [sys.executable, str(BENCH / "bench_memory.py"), "--output", str(tmp_path / "chosen"), "--runs", RELOAD]
    subprocess.run([*command, "--redraw", str(tmp_path / "results.json")], check=True, capture_output=True)
    assert [one.kind for one in Results.read(tmp_path / "chosen" / "results.json").rows] == [RELOAD]
    refused = subprocess.run([*command, "--cpu"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "takes the place of 'cold'" in refused.stderr


def test_joined_results_are_in_the_order_of_the_cards() -> None:
    cells = [Cell(8.0, 32.0), Cell(None, None), Cell(8.0, None), Cell(6.0, 32.0), Cell(8.0, 16.0)]
    rows = [row(cell.name, STOCK, vram_gib=cell.vram_gib, ram_gib=cell.ram_gib) for cell in cells]
    joined = Results.join([Results({}, [one]) for one in rows])
    assert [one.cell for one in joined.rows] == ["6x32", "8x16", "8x32", "8xfree", "freexfree"]


def test_results_of_two_machines_are_not_joined() -> None:
    one, other = Results({"device": "A"}), Results({"device": "B"})
    with pytest.raises(ValueError, match="different device"):
        Results.join([one, other])


def test_results_with_other_server_flags_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different flags"):
        Results.join([Results({"flags": []}), Results({"flags": ["--fast-disk"]})])


def test_results_of_one_code_are_joined_whatever_else_was_committed_between() -> None:
    one, two = Results({"pack": "a1", "pack_code": "c1"}), Results({"pack": "b2", "pack_code": "c1"})
    assert Results.join([one, two]).environment["pack"] == "a1"
    with pytest.raises(ValueError, match="pack_code"):
        Results.join([one, Results({"pack": "a1", "pack_code": "c2"})])
    with pytest.raises(ValueError, match="pack_code"):
        Results.join([Results({"pack": "a1"}), Results({"pack": "b2"})])  # from before there was a mark of the code


def test_the_mark_of_the_code_follows_what_runs_in_comfyui(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "__init__.py").touch()
    (tmp_path / "runtime" / "load.py").write_text("x = 1\n")
    before = code_id(tmp_path)
    (tmp_path / "README.md").write_text("new words")
    assert code_id(tmp_path) == before
    (tmp_path / "runtime" / "load.py").write_text("x = 2\n")
    assert code_id(tmp_path) != before


@pytest.mark.parametrize(
    ("text", "cell"), [("8x32", Cell(8, 32)), ("6.5xfree", Cell(6.5, None)), ("freexfree", Cell(None, None))]
)
def test_cells_are_read_as_they_are_named(text: str, cell: Cell) -> None:
    assert parse_cells([text, text]) == [cell]
    assert cell.name == text


@pytest.mark.parametrize("text", ["8", "8x", "xfree", "0x32", "-8x32", "8 GBx32", "nanxfree"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_cells([text])


def test_all_cells_cover_every_limit() -> None:
    assert len(set(parse_cells(["all"]))) == len(ALL_CELLS) == 24


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("  0%|          | 0/8 [00:00<?, ?it/s]\r100%|####| 8/8 [00:12<00:00,  1.55s/it]", (8, 1.55)),
        ("\r100%|####| 8/8 [00:03<00:00,  2.50it/s]\n100%|####| 20/20 [01:03<00:00,  4.00it/s]", (20, 0.25)),
        ("\r 50%|##  | 4/8 [00:03<00:03,  2.50it/s]", (None, None)),
        ("no sampler ran", (None, None)),
    ],
)
def test_seconds_a_step_come_from_the_samplers_last_finished_bar(
    log: str, expected: tuple[int | None, float | None]
) -> None:
    assert read_step_bar(log) == expected


def test_psutil_tells_the_memory_of_the_control_group(tmp_path: Path) -> None:
    """The group's files as the kernel writes them: page cache counts as available."""
    group = tmp_path / "group"
    group.mkdir()
    (group / "memory.current").write_text(f"{3 * MIB}\n")
    (group / "memory.stat").write_text(f"anon {2 * MIB}\ninactive_file {MIB // 4}\nactive_file {3 * MIB // 4}\n")
    memory = in_new_python(ASK_PSUTIL, **write_site_hook(tmp_path / "site", 5 * MIB, group))
    assert (memory["total"], memory["used"], memory["available"]) == (5 * MIB, 2 * MIB, 3 * MIB)


@pytest.mark.skipif(bool(why_no_ram_limit()), reason=why_no_ram_limit() or "limits can be set")
def test_a_process_cannot_outgrow_its_control_group() -> None:
    with ControlGroup(GIB) as group:
        grow = f"echo $$ > {group.processes} && exec {sys.executable} -c 'x = bytearray(2 << 30)'"
        assert subprocess.run(["sh", "-c", grow]).returncode != 0
        assert group.oom_kills() == 1


def test_before_a_cold_run_no_byte_of_a_model_file_is_in_memory(tmp_path: Path) -> None:
    reason = why_it_keeps_all(tmp_path)
    if reason:
        pytest.skip(reason)
    model, other = tmp_path / "model", tmp_path / "other"
    for path in (model, other):
        path.write_bytes(bytes(64 * MIB))
        assert page_cache_share(str(path), [(0, 64 * MIB)]) == 1
    make_cold([model])
    assert page_cache_share(str(model), [(0, 64 * MIB)]) == 0
    assert page_cache_share(str(other), [(0, 64 * MIB)]) == 1, "what else is in memory stays there"


@pytest.fixture
def fake_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[float]]:
    """(a file whose number of MiB a stand-in for nvidia-smi tells as used, how many GiB were left free when held)."""
    used, left = tmp_path / "used", []
    used.write_text("100")
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\ncat {used}\ncase "$*" in *-lms*) exec sleep 60;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    class Held(contextlib.AbstractContextManager[None]):
        def __init__(self, free_gib: float, gpu: int) -> None:
            left.append(free_gib)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(card, "HeldVram", Held)
    return used, left


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
def test_a_card_leaves_a_running_server_what_it_has_already(fake_gpu: tuple[Path, list[float]]) -> None:
    used, left = fake_gpu
    with card.Card(0) as gpu:
        gpu.limit(8.0)
        assert left == [8.0]
        used.write_text(str(100 + 512))  # the server has started: half a GiB
        gpu.limit(6.0)
        assert left == [8.0, 5.5]
        assert gpu.meter is not None
        assert gpu.meter.baseline_bytes == 100 * MIB, "the server's own memory counts as its peak"
        gpu.limit(None)
        assert left == [8.0, 5.5]
        used.write_text("9000")
        with pytest.raises(LimitError, match=r"still holds 8\.7 GiB"):
            gpu.limit(6.0)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
def test_a_server_that_missed_a_request_to_unload_is_asked_again(
    fake_gpu: tuple[Path, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    used, left = fake_gpu
    monkeypatch.setattr(session, "UNLOAD_SECONDS", 0.0)
    asked: list[tuple[str, object]] = []

    class MissesTheFirst:
        def request(self, path: str, body: object) -> tuple[int, bytes]:
            asked.append((path, body))
            if len(asked) == 2:
                used.write_text("600")
            return 200, b""

    with card.Card(0) as gpu:
        gpu.limit(24.0)
        used.write_text("21700")
        gpu.release()
        assert unload(MissesTheFirst(), gpu) == ""  # type: ignore[arg-type]
        assert asked == [("/free", {"unload_models": True, "free_memory": True})] * 2
        gpu.limit(8.0)
        assert left == [24.0, pytest.approx(8.0 - 500 / 1024)]


def test_bytes_read_are_summed_over_disks(tmp_path: Path) -> None:
    stat = tmp_path / "io.stat"
    assert read_io_stat(stat) is None
    stat.write_text("254:0 rbytes=4096 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n254:16 rbytes=100 wbytes=0\n")
    assert read_io_stat(stat) == 4196


def test_the_rest_of_the_disk_is_told_from_the_end_of_a_run() -> None:
    reading, resting = 50_000_000, 1_000_000  # bytes in a tenth of a second
    read = [reading] * 3 + [resting] * 5 + [reading] + [0] * 4
    samples = [(0.1 * index, sum(read[:index])) for index in range(len(read) + 1)]
    assert disk_rest(samples) == (pytest.approx(0.5), pytest.approx(0.4))
    assert disk_rest([(0.0, 7), (0.1, 7), (9.0, 8)]) == (None, None)
    assert disk_rest(samples[:1]) == (None, None)


def test_the_predicted_peak_is_that_of_the_highest_stage_on_the_gpu() -> None:
    stages = [("encode", "cpu", 9), ("sample", "gpu", 7), ("decode", "gpu", 3)]
    plan = {"stages": [{"stage": s, "device": d, "peak_vram_bytes": n} for s, d, n in stages]}
    assert predicted_peak_bytes(plan) == 7


MEASURED = (
    row("freexfree", STOCK, vram_gib=None, ram_gib=None, seconds=4.0, seconds_per_step=0.40),
    row("8x32", STOCK, seconds=16.0, seconds_per_step=1.60),
    row("8x32", STOCK, repeat=1, seconds=14.0, seconds_per_step=1.40),
    row("8x32", STOCK, repeat=2, seconds=50.0, seconds_per_step=9.00),
    row("8x32", LOADER, seconds=8.0, seconds_per_step=0.48, read_bytes=0),
    row("8x32", LOADER, kind=COLD, peak_vram_bytes=10, predicted_peak_vram_bytes=9),
)


def test_ratios_are_to_the_medians_of_stock_and_of_the_resident_run() -> None:
    loader = next(median for median in medians(MEASURED) if median.side == LOADER)
    assert loader.seconds_to_stock == pytest.approx(8 / 16)
    assert loader.step_to_stock == pytest.approx(0.48 / 1.60)
    assert loader.step_to_resident == pytest.approx(0.48 / 0.40)


def test_each_target_is_reached_or_not_or_not_measured() -> None:
    found = {verdict.target: verdict.reached for verdict in verdicts(Results({}, list(MEASURED)))}
    assert found == {
        "8x32: a step against the fully resident stock run at most 1.15": False,
        "8x32: a step against stock under the same limits at most 0.40": True,
        "8x32: a new prompt against stock at most 0.50": None,
        "8x32: the very first run, cold caches, against stock at most 0.70": None,
        "8x32: the first run after a later start, cold caches at most 0.70": None,
        "8x32: no byte read from disk in a warm run": True,
        "no out-of-memory and no failed run in any cell": True,
        "nothing slower than stock by more than 3 % in any cell": True,
        "predicted peak VRAM within 10 % of the measured one": True,
        "predicted peak VRAM never more than 3 % under the measured one": False,
    }


def test_failed_runs_and_skipped_cells_are_named() -> None:
    failed = row("6x16", LOADER, status="error", error="Allocation on device\nmore", vram_gib=6.0)
    tiled = row("8x32", STOCK, seconds=1.0, vae_retries=1)
    results = Results({}, [failed, tiled], {"24xfree": "the GPU has 16.0 GiB"})
    text = failure_list(results)
    assert "FAILED 6x16" in text
    assert "Allocation on device" in text
    assert "OUT OF MEMORY 8x32" in text
    assert "skipped 24xfree: the GPU has 16.0 GiB" in text
    assert "FAILED" in result_table(results)
    assert not {v.target: v.reached for v in verdicts(results)}["no out-of-memory and no failed run in any cell"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results({"device": "x"}, list(MEASURED), {"6x16": "no"}, [{"identical": True}])
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_another_file_is_not_taken_for_results(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json"):
        Results.read(tmp_path / "other.json")
