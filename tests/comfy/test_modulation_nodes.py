"""Other nodes reach for the modulation layers - LoRAs, hooks, merges, savers, compilers - and get what stock gives."""

from __future__ import annotations

import pytest

TOGETHER = ("patches", "compile", "saving", "nodes")

PATCHES = (
    "lora elsewhere",
    "lora on modulation",
    "the same lora added anew",
    "lora that differs in one number",
    "that and another",
    "scheduled lora",
    "bypass lora",
    "weight wrapper",
    "patch with a function",
    "compute dtype",
    "another layer in its place",
    "lora on the timestep embedding",
    "another forward of a block",
)
NODES = (
    "block patch that swaps the embedding",
    "wrapper that changes the timestep",
    "reference image",
)


@pytest.mark.parametrize("patch", PATCHES)
def test_patched_latents_equal_stock(facts_of, patch):
    facts = facts_of("patches", patch)
    assert facts["difference"] == 0
    assert facts["effect"] > 0


@pytest.mark.parametrize("moment", ["without", "removed again", "after the scheduled lora", "after all of them"])
def test_a_removed_patch_leaves_nothing_behind(play, moment):
    facts = play("patches")[moment]
    assert facts["difference"] == 0
    assert facts["effect"] == 0


def test_a_lora_elsewhere_uses_the_same_rows(play):
    assert play("patches")["read for a lora elsewhere"]["read"] == 0


def test_the_same_lora_added_anew_uses_the_same_rows(play):
    assert play("patches")["read for the same lora"]["read"] == 0


def test_rows_of_a_lora_are_kept_and_those_of_functions_are_not(play):
    assert play("patches")["files of a lora"]["more"] == 3
    assert play("patches")["files of functions"]["more"] == 0


@pytest.mark.parametrize("node", NODES)
def test_patches_of_the_forward_pass(play, node):
    facts = play("nodes")[node]
    assert facts["difference"] == 0
    assert facts["effect"] > 0


def test_a_patcher_made_anew_around_the_model(play):
    assert play("nodes")["patcher made anew around the model"]["difference"] == 0


def test_a_file_that_is_not_the_models_own_leaves_the_model_as_it_was(play):
    facts = play("nodes")["another file as the source"]
    assert facts["difference"] == 0
    assert len(facts["log"]) == 1
    assert "does not hold the loaded weights" in facts["log"][0]


def test_loras_find_the_layers(play):
    assert play("nodes")["lora keys"] == {"same": True, "has modulation": True}


def test_merges_get_the_weights(play):
    assert play("nodes")["weights for merging"] == {"same": True, "number": 2}


@pytest.mark.parametrize("what", ["saved", "saved with a lora"])
def test_saved_models_are_whole(play, what):
    facts = play("saving")[what]
    assert facts["same"]
    assert facts["tensors"] > 40


def test_sampling_after_saving(play):
    assert play("saving")["after saving"]["difference"] == 0


@pytest.mark.parametrize("what", ["a block", "the model"])
def test_compiled_latents_equal_stock(facts_of, what):
    facts = facts_of("compile", what)
    assert facts["difference, tabled"] == facts["difference, stock"] == 0
    assert facts["compilations, tabled"] <= facts["compilations, stock"]


def test_a_compiled_block_has_no_graph_break_of_its_own(facts_of):
    facts = facts_of("compile", "a block")
    assert facts["breaks, tabled"] == facts["breaks, stock"]


def test_precision_set_by_the_newer_interface(play):
    facts = play("precision")["set by the newer interface"]
    assert facts["difference"] == 0
    assert facts["read"] == facts["at first"] > 0, "rows of another precision are not used"
