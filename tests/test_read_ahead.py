"""Reading ahead: in the order of use, not further than allowed, nothing that the run has come to, and it ends."""

from __future__ import annotations

import gzip
import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from page_cache_share import page_cache_share, why_it_keeps_all
from qwen_image_loader.planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from qwen_image_loader.planner.releases import RELEASES
from qwen_image_loader.runtime import read_ahead
from qwen_image_loader.runtime.give_way import NICER_BY, NICEST
from qwen_image_loader.runtime.modulation_file import is_modulation
from qwen_image_loader.runtime.page_cache import fetch, forget
from qwen_image_loader.runtime.read_ahead import CHUNK_BYTES, Part, ReadAhead, lead_for
from qwen_image_loader.runtime.read_order import (
    BEFORE_LAYERS,
    MODULATION,
    Modulation,
    looked_at,
    need_not_stay,
    order_of_use,
    parts_of,
)

GOLDEN = Path(__file__).parent / "golden_headers"
MODEL = "qwen_image_fp8_e4m3fn.safetensors"
TEXT_ENCODER = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
SIZE = 1000
Begin = Callable[..., ReadAhead]


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """with begin(lead_bytes): four layers of SIZE bytes of one file are read ahead."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(4 * SIZE))
    begun: list[ReadAhead] = []

    def start(lead_bytes: int) -> ReadAhead:
        parts = [Part("model", n, str(path), ((n * SIZE, (n + 1) * SIZE),)) for n in range(4)]
        begun.append(ReadAhead(parts, lambda: lead_bytes, ["model"]))
        return begun[-1]

    yield start
    for ahead in begun:
        ahead.stop()


def test_everything_is_read_once_and_the_thread_ends_with_the_run(begin: Begin) -> None:
    with begin(10 * SIZE) as ahead:
        pass
    until(lambda: ahead.read_bytes == 4 * SIZE)
    assert ahead.is_reading
    ahead.passed("model")
    ahead.join(10)
    assert not ahead.is_reading
    assert ahead.read_bytes == 4 * SIZE


def test_it_waits_for_the_run_when_the_lead_is_used_up(begin: Begin) -> None:
    with begin(2 * SIZE) as ahead:
        pass
    until(lambda: ahead.read_bytes == 2 * SIZE)
    time.sleep(0.05)
    assert ahead.read_bytes == 2 * SIZE
    ahead.reached("model", 1)
    until(lambda: ahead.read_bytes == 3 * SIZE)


def test_with_little_memory_left_a_few_blocks_wait_and_with_none_nothing_does() -> None:
    gib, block = 1024**3, 227e6  # of the fp8 model, without its modulation layers
    left_by_comfyui = 2 * gib
    assert 2 * block < lead_for(left_by_comfyui) < left_by_comfyui / 3
    assert lead_for(29 * gib) > 10 * gib
    assert lead_for(0) == 0


TEMPLATE_BYTES = {
    ROLE_LORA: 1_700_000_000,
    ROLE_TEXT_ENCODER: 8_600_000_000,
    MODULATION: 6_800_000_000,
    ROLE_DIFFUSION_MODEL: 13_600_000_000,
    ROLE_VAE: 250_000_000,
}
ALL_FILES = set(TEMPLATE_BYTES)
FAST_DISK = {ROLE_TEXT_ENCODER: 2_500_000_000, ROLE_DIFFUSION_MODEL: 7_900_000_000, ROLE_VAE: 0}  # 8 GB of VRAM
NOT_READ_AGAIN = {ROLE_LORA, MODULATION}


@pytest.mark.parametrize(
    ("available_gib", "read_again", "makes_room"),
    [
        (13, {}, ALL_FILES),
        (29, {}, ALL_FILES),
        (45, {}, ALL_FILES),
        (58, {}, set()),
        (120, {}, set()),
        (13, FAST_DISK, {*NOT_READ_AGAIN, ROLE_TEXT_ENCODER, ROLE_DIFFUSION_MODEL}),
        (29, FAST_DISK, {*NOT_READ_AGAIN, ROLE_DIFFUSION_MODEL}),
        (40, FAST_DISK, NOT_READ_AGAIN),
        (60, FAST_DISK, set()),
    ],
)
def test_what_is_read_again_or_fits_beside_its_copies_stays_in_memory(
    available_gib: int, read_again: dict[str, int], makes_room: set[str]
) -> None:
    parts = [Part(role, 0, "", ((0, size),)) for role, size in TEMPLATE_BYTES.items()]
    assert need_not_stay(parts, available_gib * 1024**3, read_again) == makes_room


def test_the_lead_shrinks_with_the_memory_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "LEAD_SECONDS", 0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(9 * SIZE))
    parts = [Part("model", n, str(path), ((n * SIZE, (n + 1) * SIZE),)) for n in range(9)]
    lead = [3 * SIZE]
    with ReadAhead(parts, lambda: lead[0]) as ahead:
        until(lambda: ahead.read_bytes == 3 * SIZE)
        lead[0] = SIZE
        ahead.reached("model", 2)  # the third of the three is about to be used: no need to read on
        time.sleep(0.05)
        assert ahead.read_bytes == 3 * SIZE
        lead[0] = 9 * SIZE
        ahead.reached("model", 3)
        until(lambda: ahead.read_bytes == 3 * SIZE + 5 * SIZE)  # all but layer 3, which the run itself has come to
        ahead.passed("model")


def test_the_system_is_asked_seldom_how_much_memory_is_left(tmp_path: Path) -> None:
    """Each question may wait for Python's lock while the run computes, and the disk with it."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(500 * SIZE))
    parts = [Part("model", n, str(path), ((n * SIZE, (n + 1) * SIZE),)) for n in range(500)]
    asked = []
    with ReadAhead(parts, lambda: asked.append(1) or 500 * SIZE) as ahead:
        until(lambda: ahead.read_bytes == 500 * SIZE)
        ahead.passed("model")
    assert 0 < len(asked) < 50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the priority of a thread")
def test_reading_gives_way_to_the_run_and_nothing_else_does(begin: Begin) -> None:
    """PyTorch's threads wait for one another: one that is held up by the reading would hold up all."""
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with begin(10 * SIZE) as ahead:
        pass
    until(lambda: ahead.read_bytes == 4 * SIZE)
    reading = ahead._thread.native_id
    assert reading is not None
    assert os.getpriority(os.PRIO_PROCESS, reading) == min(NICEST, own + NICER_BY)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    after = threading.Thread(target=lambda: seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    seen: list[int] = []
    after.start()
    after.join()
    assert seen == [own]


def test_what_the_run_has_come_to_is_left_to_it(begin: Begin) -> None:
    with begin(2 * SIZE) as ahead:
        pass
    until(lambda: ahead.read_bytes == 2 * SIZE)
    ahead.reached("model", 2)
    until(lambda: ahead.read_bytes == 3 * SIZE)
    ahead.passed("model")
    ahead.join(10)
    assert ahead.read_bytes == 3 * SIZE  # all but layer 2


@pytest.mark.parametrize("forgets", [True, False])
def test_what_the_run_has_left_behind_makes_room_where_that_is_scarce(tmp_path: Path, forgets: bool) -> None:
    reason = why_it_keeps_all(tmp_path)
    if reason:
        pytest.skip(reason)
    size = 4 * CHUNK_BYTES
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(2 * size))
    os.sync()  # what is not on the disk yet cannot be given up
    parts = [Part("model", n, str(path), ((n * size, (n + 1) * size),)) for n in range(2)]
    behind, present = (lambda n=n: page_cache_share(str(path), parts[n].spans) for n in range(2))
    with ReadAhead(parts, lambda: 2 * size, ["model"] if forgets else ["another"]) as ahead:
        until(lambda: ahead.read_bytes == 2 * size)
        ahead.reached("model", 1)
        if forgets:
            until(lambda: behind() < 0.1)
        assert present() > 0.9
        ahead.passed("model")
        ahead.join(10)
    assert (behind() + present() < 0.1) if forgets else (behind() > 0.9 < present())


def test_what_is_behind_a_part_stays_on_the_disk(tmp_path: Path) -> None:
    """Where its window is large (read_ahead_kb), Linux would read on: of modulation layers that are never needed."""
    reason = why_it_keeps_all(tmp_path)
    if reason:
        pytest.skip(reason)
    mib = 1024**2
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(96 * mib))
    os.sync()
    forget(str(path), [(0, 96 * mib)])
    part = Part("model", 0, str(path), ((mib + 77, 40 * mib + 77), (64 * mib + 5, 70 * mib + 5)))
    with ReadAhead([part], lambda: 1) as ahead:
        until(lambda: ahead.read_bytes == part.nbytes)
        assert page_cache_share(str(path), part.spans) > 0.9
        assert page_cache_share(str(path), [(41 * mib, 64 * mib), (71 * mib, 96 * mib)]) < 0.05
        ahead.passed("model")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="which files are open is told by /proc, on Linux")
def test_files_are_not_held_open_while_there_is_nothing_to_do(begin: Begin) -> None:
    """On Windows nobody could replace them, elsewhere a deleted one would keep its room on the disk."""
    with begin(2 * SIZE) as ahead:
        pass
    until(lambda: ahead.read_bytes == 2 * SIZE)
    (path,) = {part.path for part in ahead._parts}
    until(lambda: path not in {os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()})
    ahead.reached("model", 1)
    until(lambda: ahead.read_bytes == 3 * SIZE)


def test_layers_tell_by_themselves_and_only_once(begin: Begin) -> None:
    layers = [torch.nn.Identity() for _ in range(4)]
    with begin(1) as ahead:
        ahead.watch("model", layers)
    until(lambda: ahead.read_bytes == SIZE)
    for layer in layers:
        layer(torch.zeros(1))
    ahead.join(10)
    assert not ahead.is_reading
    assert not any(layer._forward_pre_hooks or layer._forward_hooks for layer in layers)


def test_a_new_load_or_a_failed_one_ends_it(begin: Begin) -> None:
    with begin(1) as first, begin(1) as second:
        first.join(10)
        assert not first.is_reading
        assert second.is_reading
    with pytest.raises(ValueError, match="a bad file"), begin(1) as third:
        raise ValueError("a bad file")
    third.join(10)
    assert not third.is_reading


def test_a_file_that_is_gone_ends_it_quietly(tmp_path: Path) -> None:
    with ReadAhead([Part("model", 0, str(tmp_path / "gone"), ((0, 1),))], lambda: 1) as ahead:
        ahead.join(10)
        assert not ahead.is_reading


def sparse_file(folder: Path, name: str) -> Path:
    """A file with a published header and no data."""
    header = gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes())
    last = max(entry["data_offsets"][1] for key, entry in json.loads(header).items() if key != "__metadata__")
    path = folder / name
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + last)
    return path


@pytest.mark.parametrize("modulation", Modulation)
def test_the_order_of_the_template_is_the_order_of_use(tmp_path: Path, modulation: Modulation) -> None:
    model, text = sparse_file(tmp_path, MODEL), sparse_file(tmp_path, TEXT_ENCODER)
    parts = order_of_use({ROLE_DIFFUSION_MODEL: str(model), ROLE_TEXT_ENCODER: str(text)}, modulation)
    before = range(60) if modulation is Modulation.BEFORE_BLOCKS else ()
    assert [(part.role, part.number) for part in parts] == [
        *((ROLE_TEXT_ENCODER, number) for number in range(BEFORE_LAYERS, 28)),
        (ROLE_DIFFUSION_MODEL, BEFORE_LAYERS),
        *((MODULATION, number) for number in before),
        *((ROLE_DIFFUSION_MODEL, number) for number in range(60)),
    ]
    of_model = [part for part in parts if part.role != ROLE_TEXT_ENCODER]
    assert sum(part.nbytes for part in of_model) == pytest.approx(
        13.6e9 if modulation is Modulation.NEVER else 20.4e9, rel=0.01
    )
    spans = sorted(span for part in of_model for span in part.spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans)), "no byte twice"


def test_vision_layers_are_read_ahead_only_for_releases_that_show_images_to_the_text_encoder(tmp_path: Path) -> None:
    path = str(sparse_file(tmp_path, TEXT_ENCODER))
    sizes = {
        release.name: sum(
            part.nbytes for part in parts_of(ROLE_TEXT_ENCODER, path, Modulation.NEVER, sees_images=release.sees_images)
        )
        for release in RELEASES.values()
    }
    assert sizes["Qwen-Image"] == sizes["Qwen-Image-2512"] == sizes["Qwen-Image-Layered"]
    vision_bytes = sizes["Qwen-Image-Edit-2511"] - sizes["Qwen-Image"]
    assert vision_bytes == pytest.approx(0.68e9, rel=0.01)


@pytest.mark.parametrize(
    ("name", "marks"),
    [("qwen_image_fp8mixed.safetensors", 60 * 14), (TEXT_ENCODER, 28 * 7 + 32 * 5 + 2), (MODEL, 0)],
)
def test_what_loading_looks_at_is_the_marks_of_quantized_layers(tmp_path: Path, name: str, marks: int) -> None:
    path = sparse_file(tmp_path, name)
    spans = looked_at(str(path))
    assert len(spans) == marks
    assert sum(last - first for first, last in spans) < 50_000, "marks, no weights"


def test_small_pieces_all_over_a_file_are_read_and_nothing_between_them(tmp_path: Path) -> None:
    reason = why_it_keeps_all(tmp_path)
    if reason:
        pytest.skip(reason)
    size = 8 * 1024**2
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(size))
    os.sync()
    forget(str(path), [(0, size)])
    pages = [(start, start + mmap.PAGESIZE) for start in range(0, size, 64 * mmap.PAGESIZE)]
    fetch(str(path), pages)
    until(lambda: page_cache_share(str(path), pages) == 1)
    assert page_cache_share(str(path), [(0, size)]) < 0.1
    fetch(str(tmp_path / "gone"), pages)


def test_a_lora_is_read_whole(tmp_path: Path) -> None:
    name = "Qwen-Image-Lightning-8steps-V1.0.safetensors"
    path = sparse_file(tmp_path, name)
    (part,) = parts_of(ROLE_LORA, str(path), Modulation.NEVER)
    assert part.nbytes == pytest.approx(path.stat().st_size, rel=0.001)


def test_modulation_layers_are_known_by_name() -> None:
    assert is_modulation("transformer_blocks.7.img_mod.1.weight")
    assert is_modulation("model.diffusion_model.transformer_blocks.59.txt_mod.1.bias")
    assert not is_modulation("transformer_blocks.7.img_mlp.net.2.weight")


def test_large_parts_are_read_in_pieces_that_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * CHUNK_BYTES)
    with ReadAhead([Part("model", 0, str(path), ((0, 64 * CHUNK_BYTES),))], lambda: 1) as ahead:
        until(lambda: ahead.read_bytes >= CHUNK_BYTES)
        ahead.stop()
        ahead.join(10)
    assert ahead.read_bytes < 64 * CHUNK_BYTES
