"""Load Qwen-Image: its inputs and outputs with their tooltips, and a caption of what happens at Run."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..planner.explain import missing_text, plan_text
from ..planner.node_inputs import DEFAULT_INPUTS, request_from_inputs
from ..planner.plan import find_request_error
from ..planner.releases import RELEASES
from ..planner.request import AUTO, MODULATION_CHOICES, PRECISIONS, RECIPES, TEXT_ENCODER_DEVICES
from ..runtime.events import executing_node_id, send_plan
from ..runtime.load import held_parts, load_plan
from ..runtime.planning import files_fingerprint, plan_fingerprint, plan_for
from .host_fields import known_fields

NODE_ID = "QIL_LoadQwenImage"
SEARCH_ALIASES = ["qwen", "qwen image", "load qwen", "lightning", "distill", "low vram", "8gb", "fp8", "model loader"]
_FILE_TOOLTIP = (
    "A file name as ComfyUI lists it, for example qwen/my_model.safetensors. 'auto' lets the node choose. A file named "
    "here is used even where the node would have chosen another, with a warning if that is known to be bad."
)


class LoadQwenImage(io.ComfyNode):
    """Picks, fetches and loads the Qwen-Image files that fit the machine, with the sampler settings that fit them."""

    def __init__(self) -> None:
        super().__init__()
        held_parts.watch_instance(self)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=NODE_ID,
            display_name="Load Qwen-Image",
            category="loaders/qwen-image",
            description=(
                "Looks at your graphics card, memory and model files, chooses the Qwen-Image files that run best, "
                "and gives MODEL, CLIP, VAE and the sampler settings that belong to them."
            ),
            inputs=[*_main_inputs(), *_advanced_inputs()],
            outputs=[
                io.Model.Output("MODEL", tooltip="The diffusion model, with LoRA and shift applied."),
                io.Clip.Output("CLIP", tooltip="The text encoder, for Text Encode nodes."),
                io.Vae.Output("VAE", tooltip="For VAE Decode and VAE Encode."),
                io.Int.Output("steps", tooltip="Connect to the sampler's steps."),
                io.Float.Output("cfg", tooltip="Connect to the sampler's cfg."),
                # KSampler is a V1 node: a V3 combo output is refused at its list inputs, an "any" output is not.
                io.AnyType.Output("sampler_name", tooltip="Connect to the sampler's sampler_name."),
                io.AnyType.Output("scheduler", tooltip="Connect to the sampler's scheduler."),
                io.String.Output("plan", tooltip="What was chosen and why, as text."),
            ],
            **known_fields(io.Schema, search_aliases=SEARCH_ALIASES),
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None, recipe: str | None = None) -> bool | str:
        """Refuses what can never work, before anything runs. Naming an input here turns its built-in list check off.

        None: it comes through a link, whose value is not known before the run, or is missing, which ComfyUI refuses.
        """
        model, recipe = model or DEFAULT_INPUTS["model"], recipe or AUTO
        if model not in RELEASES:
            return f"There is no release '{model}'. Choose one of: {', '.join(RELEASES)}."
        if recipe not in (AUTO, *RECIPES):
            return f"There is no recipe '{recipe}'. Choose one of: {', '.join((AUTO, *RECIPES))}."
        return find_request_error(request_from_inputs({"model": model, "recipe": recipe})) or True

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Changes with the chosen files and settings; never with free memory, which would reload on every run.

        An input that comes through a link is None here: then every file may be the chosen one.
        """
        if None in inputs.values():
            return files_fingerprint()
        return plan_fingerprint(plan_for(request_from_inputs(inputs)))

    @classmethod
    async def execute(cls, **inputs: Any) -> io.NodeOutput:
        request, node_id = request_from_inputs(inputs), executing_node_id()
        plan = plan_for(request)
        if plan.missing and request.download_missing and not plan.error:
            from ..runtime.download_node import fetch_missing

            await fetch_missing(plan, node_id=node_id)
            plan = plan_for(request)
        send_plan(plan, node_id)
        if plan.error:
            raise ValueError(plan.error)
        if plan.missing or plan.settings is None:
            raise FileNotFoundError(missing_text(plan))
        parts, s = load_plan(plan, node_id), plan.settings
        settings = (s.steps, s.cfg, s.sampler_name, s.scheduler)
        return io.NodeOutput(parts.model, parts.clip, parts.vae, *settings, plan_text(plan))


def _main_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "model",
            options=list(RELEASES),
            default=DEFAULT_INPUTS["model"],
            tooltip="Which release of Qwen-Image. Qwen-Image and 2512 make pictures from text; Edit changes pictures.",
        ),
        io.Combo.Input(
            "recipe",
            options=[AUTO, *RECIPES],
            default=AUTO,
            tooltip="How many steps. base: slowest, closest to the original. distilled: 15 steps. Lightning: 8 or 4 "
            "steps with a small extra file (LoRA). auto takes what your card does well.",
        ),
        io.Combo.Input(
            "precision",
            options=[AUTO, *PRECISIONS],
            default=AUTO,
            tooltip="How exactly the weights are stored. bf16 is exact and large, the others are about half as large. "
            "auto takes the most exact one that fits your card.",
        ),
        io.Boolean.Input(
            "download_missing",
            default=False,
            tooltip="On: files of the plan that you do not have are fetched from Hugging Face when you press Run. "
            "Off: nothing is ever fetched.",
        ),
    ]


def _advanced_inputs() -> list[io.Input]:
    files = ("diffusion_model_file", "text_encoder_file", "vae_file", "lora_file")
    strings = [
        io.String.Input(name, default=AUTO, tooltip=_FILE_TOOLTIP, optional=True, **_advanced(io.String.Input))
        for name in files
    ]
    return [
        *strings,
        io.Float.Input(
            "vram_limit_gib",
            default=0.0,
            min=0.0,
            max=1024.0,
            step=0.5,
            optional=True,
            tooltip="Plan as if the card had only this much memory, in GiB: for other programs that need the rest. "
            "ComfyUI itself still takes what is free; start it with --vram-headroom to hold it back. 0: all of it.",
            **_advanced(io.Float.Input),
        ),
        io.Combo.Input(
            "text_encoder_device",
            options=list(TEXT_ENCODER_DEVICES),
            default=AUTO,
            optional=True,
            tooltip="Where the prompt is read. cpu leaves the card's memory alone, but takes longer per prompt.",
            **_advanced(io.Combo.Input),
        ),
        io.Combo.Input(
            "modulation",
            options=list(MODULATION_CHOICES),
            default=AUTO,
            optional=True,
            tooltip="Replaces a third of the model by a small table with exactly the same result, so that less has to "
            "be moved to the card on every step. auto: where it helps.",
            **_advanced(io.Combo.Input),
        ),
    ]


def _advanced(make: type) -> dict[str, Any]:
    return known_fields(make, advanced=True)
