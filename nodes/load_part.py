"""The hidden node Load Qwen-Image expands into: loads one part, so that ComfyUI caches the parts one by one."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from comfy_api.latest import io

from ..planner.load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE, ROLES
from ..runtime.expansion import PART_NODE

# Hides the node from the editor's search; hosts that do not know the first field hide deprecated nodes instead.
_HIDDEN_FIELD = "is_dev_only" if any(f.name == "is_dev_only" for f in fields(io.Schema)) else "is_deprecated"


class LoadPart(io.ComfyNode):
    """Internal. `stamp` changes with the file's content and is there for the cache key alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=PART_NODE,
            display_name="Load Qwen-Image (internal part)",
            category="loaders/qwen-image",
            description="Made by Load Qwen-Image while it runs; not meant to be placed by hand.",
            inputs=[
                io.Combo.Input("role", options=list(ROLES)),
                io.String.Input("listed_name"),
                io.String.Input("stamp"),
                io.Model.Input("model", optional=True),
                io.Boolean.Input("modulation_table", default=False, optional=True),
                io.Boolean.Input("on_cpu", default=False, optional=True),
                io.Float.Input("strength", default=1.0, optional=True),
            ],
            outputs=[io.AnyType.Output("part")],
            **{_HIDDEN_FIELD: True},
        )

    @classmethod
    def execute(
        cls,
        role: str,
        listed_name: str,
        stamp: str,
        model: Any = None,
        modulation_table: bool = False,
        on_cpu: bool = False,
        strength: float = 1.0,
    ) -> io.NodeOutput:
        from ..runtime import load

        if role == ROLE_DIFFUSION_MODEL:
            return io.NodeOutput(load.load_diffusion_model(listed_name, modulation_table=modulation_table))
        if role == ROLE_TEXT_ENCODER:
            return io.NodeOutput(load.load_text_encoder(listed_name, on_cpu=on_cpu))
        if role == ROLE_VAE:
            return io.NodeOutput(load.load_vae(listed_name))
        if role == ROLE_LORA:
            return io.NodeOutput(load.apply_lora(model, listed_name, strength))
        raise ValueError(f"Unknown role '{role}'.")
