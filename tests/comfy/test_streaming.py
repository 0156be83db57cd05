"""What the pack does about streaming agrees with the real host: its prefetch queue, the way it applies a LoRA."""

from __future__ import annotations

import sys

import pytest

GIB = 1024**3


def test_a_hooked_model_gives_the_same_latents(play):
    facts = play("streaming")
    assert facts["hooks"]["blocks"] > 0
    assert facts["hooks"]["hooked"] == (facts["hooks"]["blocks"] if "queue" in facts else 0)
    assert facts["latents"]["difference"] == 0


def test_the_hosts_queue_holds_the_block_that_runs_and_nothing_at_the_end(play):
    facts = play("streaming")
    if "queue" not in facts:
        pytest.skip("this ComfyUI has no block prefetch")
    assert facts["on the CPU"]["queue"] is None
    assert facts["queue"] == {"seen": [True, True, True], "left": [None], "after": None}


def test_blocks_are_not_brought_twice_where_the_host_brings_them_itself(play):
    """Brought twice and given up once they would stay in VRAM for good."""
    facts = play("streaming")
    if "queue" not in facts:
        pytest.skip("this ComfyUI has no block prefetch")
    assert facts["the host brings the blocks"] == {"queue": None, "noted": True, "cleaned": True}


def test_the_hosts_flags_say_whether_files_are_read_again(play):
    facts = play("streaming")
    if "fast disk" not in facts:
        pytest.skip("this ComfyUI has no --fast-disk")
    assert facts["fast disk"] == {"off": False, "on": True, "high RAM": False}
    assert facts["fast disk could be set"] == {"off": True, "on": False, "high RAM": False}


def test_a_lora_held_in_ram_gives_the_same_weights_where_the_host_streams(play):
    facts = play("streaming")
    assert facts["lora, streamed"]["layers"] > 0
    assert facts["lora, streamed"]["difference"] == 0
    assert facts["lora, streamed"]["effect"] > 0


def test_a_lora_held_in_ram_takes_half_and_needs_its_file_no_more(play):
    facts = play("streaming")["lora, held"]
    assert facts["share"] == pytest.approx(0.5, rel=0.05)
    assert facts["copied"]


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_a_file_in_memory_gives_back_what_was_written_and_is_gone_with_the_last_tensor(play):
    facts = play("streaming")
    assert facts["lora, file in memory"]["same"] == [True, True], "with such a file, and where none can be made"
    assert facts["lora, file in memory"]["left"] == []
    assert facts["lora, file in memory"]["files"] > 0
    assert facts["lora, given up"]["files"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_the_host_reads_a_lora_in_memory_where_dynamic_vram_reads_files(play):
    facts = play("streaming")
    if "lora, read by the host" not in facts:
        pytest.skip("this ComfyUI has no dynamic VRAM that runs here")
    assert facts["lora, read by the host"]["same"]
    assert all(facts["lora, read by the host"]["same"])
    assert facts["lora, read by the host"]["files"] == 1
    assert facts["lora, read by the host"]["after"], "also after it gave up what it had looked at"


def test_where_nothing_is_streamed_the_lora_stays_as_it_is(play):
    """There the host patches in float32, and images would change."""
    assert play("streaming")["lora, not streamed"]["same"]


@pytest.mark.parametrize("which", ["model", "copy"])
def test_many_small_layers_come_first_where_vram_is_short(play, which):
    facts = play("streaming")[which]
    assert not facts["own"], "this ComfyUI has an order of its own for Qwen-Image: compare it with ours"
    assert facts["layers a block"] == [8, 4]
    assert facts["smaller"]
    assert facts["foreign"] == facts["last"] == 0


def test_the_host_knows_the_layers_that_come_first(play):
    facts = play("streaming")
    if "host" not in facts:
        pytest.skip("this ComfyUI has no dynamic VRAM")
    assert facts["host"]["unknown"] == 0


def test_the_diffusion_model_stays_in_vram_while_a_prompt_is_encoded_and_no_longer(play):
    facts = play("streaming")
    assert facts["encoded"]["difference"] == 0
    limits = facts["in VRAM"]
    assert limits["room for both"] == [500 * GIB, 0]
    assert limits["failed"] == [500 * GIB, 0, -1], "lifted after an error, too"


def test_the_text_encoder_gets_the_room_that_it_cannot_do_without(play):
    limits = play("streaming")["in VRAM"]
    kept, after = limits["200 GiB short"]
    assert 280 * GIB < kept < 320 * GIB
    assert after == 0
    assert limits["no room"] == [0, 0]
    assert limits["several"] == [5, 3, 0], "the model used longest ago gives first"
    assert limits["image"] > limits["prompt"] > 0


def test_modulation_layers_are_read_ahead_only_where_the_table_has_to_be_made(play):
    assert play("streaming")["reading order"] == {
        "no table": "WITH_BLOCKS",
        "first load": "BEFORE_BLOCKS",
        "later load": "NEVER",
        "another file": "BEFORE_BLOCKS",
    }


def test_making_the_table_tells_which_block_it_reads(play):
    told = play("streaming")["much RAM"]["told"]
    assert told == sorted(told)
    assert set(told) == set(range(play("streaming")["hooks"]["blocks"]))


def test_where_ram_is_scarce_making_the_table_leaves_nothing_in_it(play):
    facts = play("streaming")
    if facts["little RAM"]["keeps all"]:
        pytest.skip(facts["little RAM"]["keeps all"])
    assert facts["little RAM"]["in memory"] == 0
    assert facts["much RAM"]["in memory"] > 0.5


def test_the_benchmarks_file_turns_single_measures_off(play):
    facts = play("streaming")
    assert facts["without the file"]["on"]
    assert facts["with the file"] == {"block-prefetch": False, "read-ahead": False, "lora-in-ram": True}
