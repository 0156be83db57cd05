"""The modulation table changes no bit of the latents, and the host counts exactly the bytes that are left."""

from __future__ import annotations

import pytest

TOGETHER = ("formats", "samplers", "releases")

RUNS = (
    "lightning: euler, cfg 1",
    "base: euler, cfg 4",
    "heun",
    "dpm_2",
    "res_multistep",
    "denoise 0.6",
    "batch of 2, cfg 4",
    "another schedule",
    "the first schedule again",
    "reference image",
    "unloaded and loaded again",
    "a second model between",
    "the first model after it",
)
FORMATS = (
    "fp8",
    "bf16",
    "scaled_fp8",
    "comfy_quant_int8",
    "checkpoint_fp8",
    "quantized_but_modulation",
    "nvfp4",
    "int8_convrot",
)


@pytest.mark.parametrize("run", RUNS)
def test_latents_equal_stock(play, run):
    assert play("samplers")[run]["difference"] == 0


def test_two_models_at_once_are_two_images(play):
    assert play("samplers")["two models differ"]["difference"] > 0.1


def test_a_known_schedule_reads_no_weights(play):
    facts = play("samplers")
    assert facts["heun"]["read"] == facts["base: euler, cfg 4"]["read"]
    assert facts["the first schedule again"]["read"] == facts["another schedule"]["read"]
    assert facts["the first schedule again"]["log"] == []


def test_a_new_schedule_reads_each_layer_once(play):
    facts = play("samplers")
    assert facts["lightning: euler, cfg 1"]["read"] == 2
    assert facts["another schedule"]["read"] - facts["batch of 2, cfg 4"]["read"] == 2


def test_dpm_2_reads_twice_for_all_its_halfway_steps(play):
    facts = play("samplers")
    assert facts["dpm_2"]["read"] - facts["heun"]["read"] <= 4


@pytest.mark.parametrize("release", ["edit_2511", "layered"])
def test_releases_with_other_timestep_embeddings(play, release):
    assert play("releases")[release]["difference"] == 0


@pytest.mark.parametrize("weight_format", FORMATS)
def test_every_weight_format(facts_of, weight_format):
    assert facts_of("formats", weight_format)["difference"] == 0


@pytest.mark.parametrize("weight_format", ["fp8", "bf16", "comfy_quant_int8"])
def test_a_lora_on_modulation_in_a_weight_format(facts_of, weight_format):
    facts = facts_of("formats", weight_format)
    assert facts["lora difference"] == 0
    assert facts["lora effect"] > 0


@pytest.mark.parametrize("weight_format", FORMATS)
def test_the_host_counts_the_model_without_its_modulation_layers(facts_of, weight_format):
    facts = facts_of("formats", weight_format)
    assert facts["bytes missing from the host's count"] == 0
    assert facts["bytes loaded beyond the count"] == 0
