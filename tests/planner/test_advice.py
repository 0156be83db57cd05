"""What a plan advises is true of this machine and these files, and can be followed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from machines import (
    B2512_FP8,
    BASE_BF16,
    BASE_FP8,
    DISTILL_FP8,
    EDIT_2511,
    L4_2512,
    L4_FP8,
    L8,
    TEXT,
    TEXT_BF16,
    VAE,
    broken,
    files_of,
    golden_header,
    golden_size,
    machine,
    on_disk,
)
from qwen_image_loader.planner.catalog import get_catalog_file
from qwen_image_loader.planner.catalog_file import FOLDERS
from qwen_image_loader.planner.detect import detect
from qwen_image_loader.planner.detect_other import MisplacedFileError
from qwen_image_loader.planner.found_file import FoundFile
from qwen_image_loader.planner.hardware import GIB, Hardware
from qwen_image_loader.planner.load_plan import LoadPlan, PlanWarning
from qwen_image_loader.planner.node_inputs import BadInputError, read_inputs
from qwen_image_loader.planner.plan import plan
from qwen_image_loader.planner.request import LoadRequest

QWEN = LoadRequest("Qwen-Image")
SMALL = machine("4060Ti-8")
FINETUNE = "jib_mix_qwen_v3.safetensors"


def warning_of(made: LoadPlan, code: str) -> PlanWarning:
    (warning,) = [w for w in made.warnings if w.code == code]
    return warning


def changed(request: LoadRequest, warning: PlanWarning) -> LoadRequest:
    return replace(request, **dict(warning.changes))


@pytest.mark.parametrize(
    "files",
    [
        (on_disk(BASE_BF16, FINETUNE), on_disk(TEXT), on_disk(VAE)),
        (on_disk(DISTILL_FP8), on_disk(TEXT), on_disk(VAE)),
        (on_disk(B2512_FP8, "sub/my_own.safetensors"), on_disk(TEXT), on_disk(VAE)),
        (on_disk(BASE_FP8), on_disk(TEXT), on_disk(VAE), on_disk(L8)),
    ],
    ids=["finetune", "distilled alone", "finetune in a folder", "fp8"],
)
def test_the_faster_recipe_fetches_what_it_said(files: tuple[FoundFile, ...]) -> None:
    hint = warning_of(plan(QWEN, SMALL, files), "faster_recipe_available")
    then = plan(changed(QWEN, hint), SMALL, files)
    assert then.missing
    assert ", ".join(file.name for file in then.files if file in then.missing) in hint.cure


def test_a_finetune_is_kept_for_the_faster_recipe() -> None:
    files = (on_disk(BASE_BF16, FINETUNE), on_disk(TEXT), on_disk(VAE))
    hint = warning_of(plan(QWEN, SMALL, files), "faster_recipe_available")
    assert plan(changed(QWEN, hint), SMALL, files).get_file("diffusion_model").name == FINETUNE


def test_a_cure_keeps_the_users_own_model() -> None:
    files = (on_disk(BASE_FP8, "sub/my_own.safetensors"), on_disk(TEXT), on_disk(VAE), on_disk(L8))
    wish = replace(QWEN, recipe="Lightning 8 steps")
    cured = plan(changed(wish, warning_of(plan(wish, SMALL, files), "lightning_on_plain_fp8")), SMALL, files)
    assert [file.name for file in cured.missing] == [L4_FP8]
    assert cured.get_file("diffusion_model").name == "my_own.safetensors"


@pytest.mark.parametrize("release", ["Qwen-Image", "Qwen-Image-Layered"])
def test_the_way_around_a_style_lora_can_be_gone(release: str) -> None:
    style = replace(on_disk(L8), listed_name="style.safetensors")
    assert style.identity is not None
    style = replace(style, identity=replace(style.identity, recipe="", release="", catalog_name="", trained_on=""))
    files = (*files_of("everything"), style)
    said = plan(LoadRequest(release, lora_file=style.name), SMALL, files).recipe_reason
    if release == "Qwen-Image-Layered":
        assert "Lightning" not in said, "it has none"
    else:
        assert "choose recipe 'Lightning 4 steps', set lora_file to auto" in said
        followed = plan(LoadRequest(release, recipe="Lightning 4 steps"), SMALL, files)
        assert followed.recipe == "Lightning 4 steps"
        assert not followed.warnings


def test_a_broken_file_of_another_role_is_not_blamed() -> None:
    files = (*files_of("2512"), broken("lora", "qwen_style.safetensors", "it is truncated"))
    error = plan(LoadRequest("Qwen-Image-2512", precision="nvfp4"), SMALL, files).error
    assert "qwen_style" not in error
    assert "is such a Qwen-Image-2512 file" in error


@pytest.mark.parametrize(
    ("name", "put_into"),
    [(L8, "diffusion_model"), (BASE_FP8, "lora"), (VAE, "lora"), (TEXT, "diffusion_model"), (VAE, "text_encoder")],
)
def test_a_file_in_the_wrong_folder_is_named_instead_of_fetched_in_silence(name: str, put_into: str) -> None:
    row = get_catalog_file(name)
    with pytest.raises(MisplacedFileError, match=f"move it to models/{row.folder}") as said:
        detect(put_into, name, golden_size(name), golden_header(name))
    assert said.value.role == row.role
    stray = FoundFile(FOLDERS[put_into], name, golden_size(name), problem=str(said.value), belongs_to=row.role)
    made = plan(replace(QWEN, **{f"{row.role}_file": name}), SMALL, (stray,))
    warning = warning_of(made, "misplaced_file")
    assert f"Move models/{FOLDERS[put_into]}/{name} to models/{row.folder}" in warning.cure


def test_one_folder_for_all_kinds_of_model_has_nothing_to_move() -> None:
    good = files_of("six")
    strays = tuple(
        FoundFile(FOLDERS[role], file.listed_name, file.size_bytes, problem="it is ...", belongs_to=file.identity.role)
        for file in good
        for role in FOLDERS
        if file.identity and role != file.identity.role
    )
    made = plan(QWEN, SMALL, (*good, *strays))
    assert made.refusals == plan(QWEN, SMALL, good).refusals
    assert made.warnings == plan(QWEN, SMALL, good).warnings


def test_a_cure_that_names_a_model_lets_go_of_the_precision() -> None:
    wish = LoadRequest("Qwen-Image-2512", recipe="Lightning 4 steps", precision="fp8_e4m3fn")
    cure = warning_of(plan(wish, SMALL, files_of("2512")), "lightning_on_plain_fp8")
    cured = plan(changed(wish, cure), SMALL, files_of("2512"))
    assert not cured.error
    assert not cured.warnings


def test_a_larger_file_that_avoids_a_bad_pair_is_not_said_to_move_the_least() -> None:
    files = tuple(map(on_disk, (BASE_FP8, BASE_BF16, TEXT, VAE, L8)))
    made = plan(replace(QWEN, recipe="Lightning 8 steps"), SMALL, files)
    model = made.get_file("diffusion_model")
    assert model.name == BASE_BF16
    assert "fewest" not in model.reason
    assert "smaller precision" not in warning_of(made, "rereads_from_disk").cure, "it would be the bad pair"
    alone = plan(QWEN, SMALL, files_of("bf16"))
    assert "a smaller precision" in warning_of(alone, "rereads_from_disk").cure


def test_the_slowest_recipe_is_not_praised_for_its_few_steps() -> None:
    files = (on_disk(B2512_FP8), on_disk(TEXT), on_disk(VAE))
    assert plan(LoadRequest("Qwen-Image-2512"), SMALL, files).recipe_reason.startswith("the only recipe for which")


def test_a_card_without_bf16_is_only_told_of_recipes_that_there_are() -> None:
    def advice(wish: LoadRequest) -> str:
        return warning_of(plan(wish, machine("1080-8"), files_of("everything")), "no_bf16").cure

    assert "Lightning" not in advice(LoadRequest("Qwen-Image-Layered"))
    assert "Lightning" not in advice(replace(QWEN, recipe="Lightning 4 steps"))
    assert "'Lightning 4 steps'" in advice(replace(QWEN, recipe="base"))


def test_a_small_card_is_not_told_to_raise_a_limit_that_is_not_set() -> None:
    tiny = replace(SMALL, vram_total_bytes=2 * GIB, vram_free_bytes=2 * GIB)
    assert "vram_limit_gib" not in warning_of(plan(QWEN, tiny, files_of("six")), "too_little_vram").cure
    limited = plan(replace(QWEN, vram_limit_bytes=GIB), SMALL, files_of("six"))
    assert "vram_limit_gib" in warning_of(limited, "too_little_vram").cure


def test_a_named_file_whose_name_says_too_much_can_still_be_used() -> None:
    mine = "qwen_image_2512_distill_mine.safetensors"
    wish = LoadRequest("Qwen-Image-2512", diffusion_model_file=mine)
    files = (*files_of("2512"), on_disk(B2512_FP8.replace("fp8_e4m3fn", "bf16"), f"x/{mine}"))
    files = tuple(replace(f, listed_name=mine) if f.listed_name == f"x/{mine}" else f for f in files)
    unknown = next(f for f in files if f.listed_name == mine)
    assert unknown.identity is not None
    as_named = replace(unknown, identity=replace(unknown.identity, recipe="distilled", catalog_name=""))
    files = tuple(as_named if f is unknown else f for f in files)
    assert "set recipe to 'base'" in plan(wish, SMALL, files).error
    assert not plan(replace(wish, recipe="base"), SMALL, files).error


def test_the_strength_is_that_of_the_lora_there_is() -> None:
    fused = plan(LoadRequest("Qwen-Image-2512", recipe="Lightning 4 steps"), SMALL, files_of("2512 fused"))
    with_lora = plan(replace(QWEN, lora_file=L8, recipe="Lightning 8 steps"), SMALL, files_of("bf16+L8"))
    assert fused.settings is not None
    assert with_lora.settings is not None
    assert (fused.find_file("lora"), fused.settings.lora_strength) == (None, 0.0)
    assert with_lora.settings.lora_strength == 1.0


def test_a_text_encoder_that_ram_cannot_hold_is_not_the_first_choice() -> None:
    files = files_of("two encoders")
    assert plan(QWEN, machine("4090-24"), files).get_file("text_encoder").name == TEXT_BF16
    assert plan(QWEN, machine("4090-24", 16), files).get_file("text_encoder").name == TEXT


@pytest.mark.parametrize("name", ["模型\u3000一.safetensors", "café 👩‍🎨.safetensors", "a\u00a0b.safetensors"])
def test_every_name_that_a_file_can_have_reaches_the_plan(name: str) -> None:
    assert read_inputs({"diffusion_model_file": name}).diffusion_model_file == name
    with pytest.raises(BadInputError):
        read_inputs({"diffusion_model_file": f"{name}\n"})


def test_marks_that_an_old_comfyui_does_not_know_are_refused() -> None:
    """It would drop the scales, and make noise (ComfyUI issue 11502)."""
    old = replace(machine("4090-24"), host_version="0.3.75", quant_formats=frozenset())
    wish = LoadRequest("Qwen-Image-Edit-2511", diffusion_model_file=EDIT_2511)
    error = plan(wish, old, files_of("2511")).error
    assert f"{EDIT_2511}: ComfyUI 0.3.75 does not know the quantization marks in it; update ComfyUI" in error
    offered = plan(LoadRequest("Qwen-Image-Edit-2511"), old, ())
    assert offered.get_file("diffusion_model").weight_format == "bf16"
    assert plan(QWEN, old, files_of("six")).get_file("text_encoder").name == TEXT, "its older marks are known"


def test_a_cure_names_no_model_that_this_comfyui_cannot_load() -> None:
    old = replace(SMALL, host_version="0.3.75", quant_formats=frozenset())
    wish = LoadRequest("Qwen-Image-2512", recipe="Lightning 4 steps", lora_file=L4_2512)
    cure = warning_of(plan(wish, old, files_of("2512")), "lightning_on_plain_fp8")
    assert "fp8_e4m3fn_scaled" not in cure.cure
    cured = plan(changed(wish, cure), old, files_of("2512"))
    assert not cured.error
    assert "lightning_on_plain_fp8" not in [w.code for w in cured.warnings]


def test_a_quantized_file_with_fp8_inside_is_refused_on_apple() -> None:
    wish = replace(QWEN, diffusion_model_file="qwen_image_nvfp4.safetensors")
    assert "which Apple GPUs do not have" in plan(wish, machine("M2-96"), files_of("apple")).error


def test_an_edit_model_is_not_sent_to_the_model_of_another_release() -> None:
    wish = LoadRequest("Qwen-Image-Edit-2511", diffusion_model_file=EDIT_2511, lora_file=L4_FP8)
    made = plan(wish, SMALL, (*files_of("2511"), on_disk(L4_FP8)))
    assert BASE_FP8 not in warning_of(made, "fp8_lightning_on_other").cure


def test_a_release_with_one_recipe_says_so() -> None:
    error = plan(LoadRequest("Qwen-Image-Layered", recipe="distilled"), SMALL, ()).error
    assert error.endswith("Choose 'auto' or 'base'.")


def test_fast_disk_is_advised_where_it_shortens_runs() -> None:
    def said(hardware: Hardware) -> list[str]:
        made = plan(QWEN, hardware, files_of("six"))
        return [w.cure for w in made.warnings if "--fast-disk" in w.cure]

    def started_without(hardware: Hardware, ram_gib: int = 32) -> Hardware:
        return replace(hardware, fast_disk_is_off=True, ram_total_bytes=ram_gib * GIB)

    assert len(said(started_without(SMALL))) == 1
    assert len(said(started_without(SMALL, 16))) == 1, "said with the warning about RAM, not twice"
    assert "Close other programs" in said(started_without(SMALL, 16))[0]
    assert not said(SMALL), "this ComfyUI decides by itself, or was started with it"
    assert not said(started_without(SMALL, 64)), "RAM enough for all copies"
    assert not said(started_without(machine("4060Ti-16"))), "nothing is moved"


def test_every_unknown_file_is_named_at_once_and_can_be_reset() -> None:
    wish = replace(QWEN, diffusion_model_file="a.safetensors", lora_file="b.safetensors", vae_file=VAE)
    made = plan(wish, SMALL, files_of("six"))
    assert "'a.safetensors' in models/diffusion_models" in made.error
    assert "'b.safetensors' in models/loras" in made.error
    assert dict(made.error_changes) == {"diffusion_model_file": "auto", "lora_file": "auto"}
    assert not plan(replace(wish, **dict(made.error_changes)), SMALL, files_of("six")).error


@pytest.mark.parametrize(
    "wish",
    [
        LoadRequest("Qwen-Image-Layered", recipe="Lightning 4 steps"),
        LoadRequest("Qwen-Image-2512", precision="nvfp4"),
        LoadRequest("Qwen-Image-2512", recipe="Lightning 4 steps", diffusion_model_file=BASE_FP8, precision="bf16"),
    ],
    ids=["recipe", "precision", "file and precision"],
)
def test_what_an_error_asks_to_set_back_can_be_planned(wish: LoadRequest) -> None:
    refused = plan(wish, SMALL, files_of("six"))
    assert refused.error
    assert refused.error_changes
    assert not plan(replace(wish, **dict(refused.error_changes)), SMALL, files_of("six")).error


def test_a_damaged_file_of_a_known_name_is_told_of_even_if_another_is_used() -> None:
    files = (broken("diffusion_model", BASE_FP8, "it is truncated"), on_disk(DISTILL_FP8), on_disk(TEXT), on_disk(VAE))
    made = plan(QWEN, SMALL, files)
    assert made.get_file("diffusion_model").name == DISTILL_FP8
    assert f"models/diffusion_models/{BASE_FP8} is passed over" in warning_of(made, "broken_file").message
    in_the_way = plan(replace(QWEN, recipe="base"), SMALL, files)
    assert "fetch it again" in warning_of(in_the_way, "broken_file").cure


def test_a_lora_that_asks_for_another_recipe_gives_way_to_the_one_chosen() -> None:
    wish = replace(QWEN, recipe="base", lora_file=L4_FP8)
    cure = warning_of(plan(wish, SMALL, files_of("six+fp8 L4")), "recipe_of_lora")
    assert plan(changed(wish, cure), SMALL, files_of("six+fp8 L4")).recipe == "base"


@pytest.mark.parametrize(
    ("ram_gib", "files", "dtype", "gib_held"),
    [(32, "six", "float8_e4m3fn", 19.0), (64, "six", "bfloat16", 38.1), (128, "six", "", 76.1), (64, "2511", "", 19.1)],
)
def test_a_processor_is_told_a_dtype_where_it_would_take_more_than_there_is(
    ram_gib: int, files: str, dtype: str, gib_held: float
) -> None:
    """ComfyUI makes fp32 of plain weights there, 76 GiB, also with 48 GiB of RAM; quantized ones stay as they are."""
    release = "Qwen-Image-Edit-2511" if files == "2511" else "Qwen-Image"
    made = plan(LoadRequest(release), machine("cpu-64", ram_gib), files_of(files))
    assert made.weight_dtype == dtype
    assert made.stages[1].resident_bytes / GIB == pytest.approx(gib_held, rel=0.02)
    assert made.ram_needed_bytes <= ram_gib * GIB
    assert not plan(LoadRequest(release), SMALL, files_of(files)).weight_dtype, "a card is asked nothing"


def test_a_large_card_without_fp8_arithmetic_holds_twice_the_file() -> None:
    """model_management.unet_dtype: a plain fp8 file becomes bf16 where 0.88 of the card holds that."""

    def held(card: str) -> float:
        return (
            plan(replace(QWEN, recipe="base", modulation="off"), machine(card), files_of("six"))
            .stages[1]
            .resident_bytes
        )

    assert held("A6000-48") == pytest.approx(2 * held("H100-80"))
    assert held("4090-24") == held("H100-80")
    scaled = plan(QWEN, machine("A6000-48"), files_of("scaled+L4"))
    assert scaled.stages[1].resident_bytes < 20 * GIB, "quantized weights stay as they are"
