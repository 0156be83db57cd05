"""What a plan says: reasons, refusals, warnings with a cure, memory, and errors that name the next step."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from machines import (
    BASE_FP8,
    DISTILL_FP8,
    FILE_SETS,
    L4_2512,
    L4_FP8,
    L8,
    MACHINES,
    TEXT,
    TEXT_BF16,
    VAE,
    broken,
    files_of,
    golden_header,
    machine,
    on_disk,
)
from qwen_image_loader.planner.catalog import get_catalog_file
from qwen_image_loader.planner.detect import detect
from qwen_image_loader.planner.explain import missing_text, plan_text
from qwen_image_loader.planner.found_file import FoundFile
from qwen_image_loader.planner.hardware import GIB, Hardware
from qwen_image_loader.planner.memory import gib
from qwen_image_loader.planner.plan import plan
from qwen_image_loader.planner.releases import RELEASES
from qwen_image_loader.planner.request import LoadRequest

QWEN = LoadRequest("Qwen-Image")
SMALL = machine("4060Ti-8")


def test_a_plan_is_pure_frozen_and_json() -> None:
    first, second = plan(QWEN, SMALL, files_of("six")), plan(QWEN, SMALL, files_of("six"))
    assert first == second
    assert json.loads(json.dumps(first.to_json()))["recipe"] == "distilled"
    with pytest.raises(AttributeError):
        first.recipe = "base"  # type: ignore[misc]


def test_free_memory_never_changes_the_plan() -> None:
    busy = replace(SMALL, vram_free_bytes=GIB, ram_available_bytes=GIB)
    assert replace(plan(QWEN, busy, files_of("six")), hardware=SMALL) == plan(QWEN, SMALL, files_of("six"))


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("files", FILE_SETS)
def test_whatever_is_chosen_fits_and_is_explained(name: str, files: str) -> None:
    for release in RELEASES:
        result = plan(LoadRequest(release), machine(name), files_of(files))
        if result.error:
            assert "No " in result.error
            continue
        hardware = result.hardware
        for stage in result.stages:
            assert stage.peak_vram_bytes <= hardware.vram_total_bytes
            assert min(stage.resident_bytes, stage.streamed_bytes, stage.activation_bytes, stage.ram_bytes) >= 0
        assert result.recipe_reason
        assert all(file.reason for file in result.files)
        assert all(file.on_disk or (file.catalog_name and file.url) for file in result.files)
        assert not any(w.code.startswith(("lightning_on", "lora_on", "lora_of")) for w in result.warnings)


def test_memory_falls_in_the_order_it_should() -> None:
    def streamed(**wishes: object) -> int:
        return plan(LoadRequest("Qwen-Image", **wishes), SMALL, files_of("six")).stages[1].streamed_bytes  # type: ignore[arg-type]

    bf16, fp8 = streamed(precision="bf16", modulation="off"), streamed(modulation="off")
    assert streamed() < fp8 < streamed(vram_limit_bytes=6 * GIB, modulation="off") < bf16
    assert streamed(precision="bf16") < bf16


def test_the_table_takes_a_third_of_the_model_out() -> None:
    whole = plan(replace(QWEN, modulation="off"), SMALL, files_of("six")).stages[1]
    rest = plan(QWEN, SMALL, files_of("six")).stages[1]
    assert gib(whole.resident_bytes + whole.streamed_bytes) == "19.0 GiB"
    assert gib(rest.resident_bytes + rest.streamed_bytes) == "12.7 GiB"


def test_the_table_makes_room_for_the_text_encoder() -> None:
    card = machine("4090-24", 0)
    beside = plan(QWEN, card, files_of("six"))
    assert beside.modulation_table
    assert "text encoder" in beside.modulation_reason
    elsewhere = plan(replace(QWEN, text_encoder_device="cpu"), card, files_of("six"))
    assert not elsewhere.modulation_table
    assert not plan(QWEN, machine("A6000-48", 0), files_of("six")).modulation_table


def test_a_refused_pair_is_named_with_its_reason() -> None:
    result = plan(QWEN, SMALL, files_of("six"))
    reasons = {refusal.name: refusal.reason for refusal in result.refusals}
    assert "grid" in reasons[f"{BASE_FP8} with {L8}"]


@pytest.mark.parametrize("wishes", [{"recipe": "Lightning 8 steps"}, {"lora_file": L8}], ids=["by recipe", "by file"])
def test_following_the_cure_of_the_templates_own_pair_cures_it(wishes: dict[str, str]) -> None:
    files = files_of("six+fp8 L4")
    request = replace(QWEN, **wishes)
    (warning,) = plan(request, SMALL, files).warnings
    assert warning.code == "lightning_on_plain_fp8"
    cured = plan(replace(request, **dict(warning.changes)), SMALL, files)
    assert (cured.recipe, cured.get_file("lora").name) == ("Lightning 4 steps", L4_FP8)
    assert not cured.warnings


def test_a_named_lora_brings_its_own_steps() -> None:
    result = plan(replace(QWEN, recipe="Lightning 8 steps", lora_file=L4_FP8), SMALL, files_of("six+fp8 L4"))
    assert result.recipe == "Lightning 4 steps"
    assert [warning.code for warning in result.warnings] == ["recipe_of_lora"]


def style_lora(name: str = "my_style.safetensors") -> FoundFile:
    return on_disk(L8, name)


def test_a_style_lora_leaves_no_room_for_lightning_and_keeps_the_models_settings() -> None:
    files = (*files_of("six"), style_lora())
    result = plan(replace(QWEN, recipe="Lightning 8 steps", lora_file="my_style.safetensors"), SMALL, files)
    assert (result.recipe, result.settings and result.settings.steps) == ("base", 20)
    (warning,) = result.warnings
    assert warning.code == "no_room_for_lightning"
    assert "LoraLoaderModelOnly" in warning.cure
    assert "made for" not in result.recipe_reason


def test_a_named_lora_never_brings_the_steps_of_a_model_that_is_not_used() -> None:
    files = (*files_of("six"), style_lora())
    distilled = plan(replace(QWEN, recipe="distilled", lora_file="my_style.safetensors"), SMALL, files)
    assert distilled.get_file("diffusion_model").name == DISTILL_FP8
    assert not distilled.warnings
    for recipe in ("base", "distilled"):
        lightning = plan(replace(QWEN, recipe=recipe, lora_file=L8), SMALL, files)
        assert lightning.recipe == "Lightning 8 steps"
        assert "recipe_of_lora" in [warning.code for warning in lightning.warnings]


def test_a_lora_for_unknown_few_steps_is_said_to_be_one() -> None:
    files = (*files_of("bf16"), style_lora("Wuli-2512-Turbo-2steps.safetensors"))
    result = plan(replace(QWEN, lora_file="Wuli-2512-Turbo-2steps.safetensors"), machine("5090-32"), files)
    assert [warning.code for warning in result.warnings] == ["unknown_few_steps_lora"]
    for name in ("my_style_2000steps.safetensors", "style_epoch_10_step_2000.safetensors"):
        trained = (*files_of("bf16"), style_lora(name))
        assert not plan(replace(QWEN, lora_file=name), machine("5090-32"), trained).warnings


OTHERS = ("qwenImageEdit_v10", "Jib_mix_qwen", "aaa", "qwen.image.edit.fp8", "qwen-image-edit/model_fp8", "a/b/c")


@pytest.mark.parametrize("other", OTHERS)
def test_the_official_file_is_chosen_before_one_of_another_name(other: str) -> None:
    for files in ((BASE_FP8, f"{other}.safetensors"), (f"{other}.safetensors", BASE_FP8)):
        found = (*(on_disk(BASE_FP8, name) for name in files), on_disk(TEXT), on_disk(VAE))
        assert plan(QWEN, machine("4090-24"), found).get_file("diffusion_model").name == BASE_FP8
    alone = plan(QWEN, machine("4090-24"), (on_disk(BASE_FP8, f"{other}.safetensors"), on_disk(TEXT), on_disk(VAE)))
    assert alone.get_file("diffusion_model").on_disk is ("dit" not in other)  # an Edit model makes colour noise here


def test_a_file_whose_name_says_nothing_is_taken_at_the_users_word() -> None:
    files = (*files_of("six"), on_disk(BASE_FP8, "MyEditor_v3.safetensors"))
    wish = LoadRequest("Qwen-Image-Edit-2509", diffusion_model_file="MyEditor_v3.safetensors", recipe="base")
    assert not plan(wish, machine("4090-24"), files).warnings


def test_a_name_with_a_recipe_alone_says_nothing_of_the_release() -> None:
    rapid = "Qwen-Rapid-AIO-v10.safetensors"
    files = (*files_of("six"), on_disk(BASE_FP8, rapid), on_disk(BASE_FP8, "jibMixQwen_v4Lightning.safetensors"))
    assert plan(QWEN, SMALL, files).get_file("diffusion_model").name == DISTILL_FP8
    edit = plan(LoadRequest("Qwen-Image-Edit-2509", diffusion_model_file=rapid), SMALL, files)
    assert "model_of_other_release" not in [warning.code for warning in edit.warnings]


def test_the_official_text_encoder_is_chosen_before_one_of_another_name() -> None:
    files = (on_disk(BASE_FP8), on_disk(TEXT), on_disk(TEXT_BF16, "Abliterated-qwen7b.safetensors"), on_disk(VAE))
    assert plan(QWEN, machine("4090-24"), files).get_file("text_encoder").name == TEXT


def test_a_named_text_encoder_must_run_here_too() -> None:
    wish = replace(QWEN, text_encoder_file=TEXT)
    apple = plan(wish, machine("M2-96"), files_of("six"))
    assert f"{TEXT} cannot be used here: Apple GPUs have no fp8" in apple.error
    assert "text_encoder_file" in apple.error
    on_processor = plan(replace(wish, text_encoder_device="cpu"), machine("M2-96"), files_of("six"))
    assert on_processor.get_file("text_encoder").name == TEXT


def test_a_vae_of_the_other_kind_is_not_taken_for_the_one_of_its_name() -> None:
    layered = on_disk("qwen_image_layered_vae.safetensors", VAE)
    result = plan(QWEN, machine("4090-24"), (on_disk(BASE_FP8), on_disk(TEXT), layered))
    assert [file.name for file in result.missing] == [VAE]
    (warning,) = result.warnings
    assert "is another file" in warning.message
    assert "Rename it" in warning.cure


def test_another_model_in_the_place_of_a_known_one_is_named_and_not_to_be_deleted() -> None:
    row = get_catalog_file("qwen_image_2512_fp8_e4m3fn.safetensors")
    identity = detect(row.role, BASE_FP8, row.size_bytes, golden_header(row.name))
    in_the_way = FoundFile(row.folder, BASE_FP8, row.size_bytes, identity=identity)
    result = plan(replace(QWEN, recipe="base"), machine("4090-24"), (in_the_way, on_disk(TEXT), on_disk(VAE)))
    (warning,) = result.warnings
    assert "by its size in bytes: qwen_image_2512_fp8_e4m3fn.safetensors" in warning.message
    assert "elete" not in warning.cure


def test_a_renamed_copy_is_used_instead_of_fetched() -> None:
    files = (*files_of("six"), on_disk(L4_FP8, "mine/qwen fp8 lightning 4steps.safetensors"))
    result = plan(replace(QWEN, lora_file=L4_FP8), SMALL, files)
    assert result.get_file("lora").listed_name == "mine/qwen fp8 lightning 4steps.safetensors"
    assert not result.missing


def test_an_edit_model_takes_the_lora_for_qwen_image() -> None:
    files = (on_disk("qwen_image_edit_bf16.safetensors"), on_disk(TEXT), on_disk(VAE), on_disk(L8))
    result = plan(LoadRequest("Qwen-Image-Edit", lora_file=L8), machine("A6000-48"), files)
    assert (result.recipe, result.warnings) == ("Lightning 8 steps", ())


def test_a_recipe_that_the_release_lacks_names_the_file_it_is_of() -> None:
    result = plan(LoadRequest("Qwen-Image-Layered", lora_file=L8), machine("4090-24"), files_of("everything"))
    assert f"{L8}: it is for 'Lightning 8 steps', which Qwen-Image-Layered does not have" in result.error
    assert "Set lora_file to 'auto'" in result.error


def test_edit_plans_count_the_reference_pictures() -> None:
    """ComfyUI 0.33.0 asks for 1.94 GiB with one reference as large as the picture, where a picture alone takes 0.97."""

    def working_memory(release: str, hardware: Hardware = SMALL) -> int:
        wish = LoadRequest(release, modulation="off")
        return plan(wish, hardware, files_of("everything")).stages[1].activation_bytes

    assert working_memory("Qwen-Image") == pytest.approx(0.97 * GIB, rel=0.01)
    assert working_memory("Qwen-Image-Edit") == pytest.approx(1.83 * GIB, rel=0.01)
    assert working_memory("Qwen-Image-Edit-2511") == pytest.approx(2.12 * GIB, rel=0.01)
    slow = replace(machine("7900XT-20"), efficient_attention=False)
    assert working_memory("Qwen-Image", slow) == pytest.approx(7.27 * GIB, rel=0.01)


def test_a_limit_below_a_steps_working_memory_is_warned_about() -> None:
    tight = plan(replace(QWEN, vram_limit_bytes=GIB // 2), SMALL, files_of("six"))
    assert "too_little_vram" in [warning.code for warning in tight.warnings]
    apple = plan(replace(QWEN, vram_limit_bytes=4 * GIB), machine("M2-96"), files_of("apple"))
    assert apple.stages == plan(QWEN, machine("M2-96"), files_of("apple")).stages, "one memory: nothing to limit"


def test_missing_files_are_listed_with_size_link_and_folder() -> None:
    text = missing_text(plan(QWEN, SMALL, ()))
    assert "4 file(s)" in text
    assert f"{TEXT} (8.7 GiB) -> models/text_encoders/" in text
    assert f"https://huggingface.co/Comfy-Org/Qwen-Image_ComfyUI/resolve/main/split_files/vae/{VAE}" in text
    assert "download_missing" in text


def test_a_broken_file_is_refused_and_in_the_way_of_its_own_download() -> None:
    cut = broken("diffusion_model", BASE_FP8, "it is truncated: its header describes 2 bytes, the file has 1")
    result = plan(replace(QWEN, recipe="base"), machine("4090-24"), (cut, on_disk(TEXT), on_disk(VAE)))
    assert [file.name for file in result.missing] == [BASE_FP8]
    assert [warning.code for warning in result.warnings] == ["broken_file"]
    assert "Delete or rename it" in missing_text(result)
    assert any("truncated" in refusal.reason for refusal in result.refusals)


def test_two_files_of_one_name_say_which_is_used() -> None:
    files = (*files_of("base fp8"), on_disk(BASE_FP8, f"old/{BASE_FP8}"))
    result = plan(QWEN, machine("4090-24"), files)
    (warning,) = result.warnings
    assert warning.code == "same_name"
    assert f"old/{BASE_FP8}" in warning.message
    assert not plan(replace(QWEN, diffusion_model_file=f"old/{BASE_FP8}"), machine("4090-24"), files).warnings
    foreign = FoundFile("diffusion_models", f"flux/{BASE_FP8}", 9, problem="it is a Flux model")
    assert not plan(QWEN, machine("4090-24"), (*files_of("base fp8"), foreign)).warnings


def test_the_same_file_in_two_model_folders_is_no_choice_to_make() -> None:
    twice = on_disk(BASE_FP8, "sub/mine.safetensors")
    hidden = FoundFile("diffusion_models", "sub/mine.safetensors", 9, problem="another model folder has it")
    result = plan(replace(QWEN, diffusion_model_file="mine.safetensors"), SMALL, (*files_of("six"), twice, hidden))
    assert result.get_file("diffusion_model").listed_name == "sub/mine.safetensors"


ERRORS = [
    ("path", {"diffusion_model_file": "../secret.safetensors"}, "is a path"),
    ("absolute path", {"vae_file": "/etc/passwd"}, "is a path"),
    ("windows path", {"vae_file": "C:\\x.safetensors"}, "is a path"),
    ("unknown name", {"lora_file": "nothing.safetensors"}, "no file 'nothing.safetensors' in models/loras"),
    ("gguf", {"diffusion_model_file": "qwen-image-Q4_K_M.gguf"}, "ComfyUI-GGUF"),
    ("a file of another role", {"vae_file": BASE_FP8}, "no file"),
    ("broken file", {"diffusion_model_file": "cut.safetensors"}, "cut.safetensors in models/diffusion_models cannot"),
    ("other model", {"diffusion_model_file": "flux.safetensors"}, "it is a Flux"),
    ("ambiguous", {"diffusion_model_file": "twin.safetensors"}, "a/twin.safetensors, b/twin.safetensors"),
    ("no such recipe", {"release": "Qwen-Image-2512", "recipe": "distilled"}, "Choose 'auto' or one of 'base'"),
    ("no such format", {"precision": "int8_convrot"}, "precision 'int8_convrot'"),
    ("negative limit", {"vram_limit_bytes": -1}, "negative"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "wishes", "says"), ERRORS, ids=[e[0] for e in ERRORS])
def test_a_wish_that_cannot_be_carried_out_says_why_and_what_to_do(
    case: str, wishes: dict[str, object], says: str
) -> None:
    files = (
        *files_of("six"),
        broken("diffusion_model", "cut.safetensors", "it is truncated"),
        FoundFile("diffusion_models", "flux.safetensors", 9, problem="it is a Flux or HunyuanVideo model"),
        on_disk(BASE_FP8, "a/twin.safetensors"),
        on_disk(BASE_FP8, "b/twin.safetensors"),
    )
    result = plan(LoadRequest(**{"release": "Qwen-Image", **wishes}), SMALL, files)  # type: ignore[arg-type]
    assert says in result.error
    assert not result.files
    assert result.error in plan_text(result)


def test_an_apple_machine_that_is_too_small_hears_every_reason() -> None:
    result = plan(QWEN, machine("M2-32"), files_of("six"))
    assert "no fp8 numbers" in result.error
    assert "bf16 (38.1 GiB) does not fit into 32.0 GiB of memory" in result.error


def test_an_old_comfyui_is_told_to_update_for_int8() -> None:
    old = replace(SMALL, quant_formats=frozenset(), host_version="0.3.75")
    wish = LoadRequest("Qwen-Image-Edit-2511", precision="int8_convrot")
    assert "ComfyUI 0.3.75 cannot load int8_convrot files; update ComfyUI" in plan(wish, old, ()).error


def test_without_dynamic_vram_weights_that_ram_cannot_hold_are_refused() -> None:
    legacy = replace(machine("4060Ti-8", 16), dynamic_vram=False)
    result = plan(replace(QWEN, modulation="off"), legacy, files_of("six"))
    assert "must stay in RAM on this ComfyUI, and the machine has 16.0 GiB" in result.error


def test_a_named_file_outranks_everything_and_is_warned_about() -> None:
    result = plan(replace(QWEN, diffusion_model_file=DISTILL_FP8, lora_file=L8), SMALL, files_of("six"))
    assert [warning.code for warning in result.warnings] == ["lora_on_distilled"]
    other = plan(replace(QWEN, lora_file=L4_2512), machine("4090-24"), (*files_of("bf16"), on_disk(L4_2512)))
    assert [warning.code for warning in other.warnings if warning.code == "lora_of_other_release"]


def test_machine_facts_that_spoil_pictures_are_warned_about() -> None:
    flagged = replace(SMALL, risky_flags=("--use-sage-attention",))
    result = plan(QWEN, flagged, files_of("fp8+fp8 L4"))
    assert [warning.code for warning in result.warnings] == ["risky_flag"]
    assert "Start ComfyUI without --use-sage-attention" in plan_text(result)


def peak_of(hardware: Hardware) -> int:
    request = replace(QWEN, recipe="Lightning 8 steps")
    return max(stage.peak_vram_bytes for stage in plan(request, hardware, files_of("six")).stages)


def test_the_peak_counts_what_dynamic_vram_leaves_on_the_card() -> None:
    """As measured on a card with much room and one with little: all models together, and the whole card."""
    assert peak_of(machine("H100-80")) == pytest.approx(29.49 * GIB, rel=0.03)
    small = peak_of(SMALL)
    assert small == pytest.approx(7.97 * GIB, rel=0.03)
    assert peak_of(replace(SMALL, dynamic_vram=False)) < small


def test_the_encoders_output_layer_is_not_counted() -> None:
    """ComfyUI does not load it: on disk and to be fetched, the plan is about the same 7.7 GiB."""
    for files in ("six", "none"):
        encode = plan(QWEN, machine("H100-80"), files_of(files)).stages[0]
        assert encode.resident_bytes == pytest.approx(7.73 * GIB, rel=0.01)


def test_without_a_card_the_plan_speaks_of_one_memory() -> None:
    result = plan(QWEN, machine("cpu-64"), files_of("six"))
    assert "VRAM" not in plan_text(result)
    assert [stage.device for stage in result.stages] == ["cpu"] * 3
    assert all(stage.resident_bytes > 0 for stage in result.stages)


def test_an_8_gb_card_decodes_in_one_piece() -> None:
    """As measured: with 6 GiB and with 8 GiB no decoding ran out of memory."""
    assert plan(QWEN, SMALL, files_of("six")).stages[2].note == "in one piece"
    tiny = plan(replace(QWEN, vram_limit_bytes=3 * GIB), SMALL, files_of("six")).stages[2]
    assert "in tiles" in tiny.note
