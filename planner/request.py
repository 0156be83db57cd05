"""What the user asked for: the node's inputs, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

AUTO = "auto"

RECIPE_BASE = "base"
RECIPE_DISTILLED = "distilled"
RECIPE_LIGHTNING_8 = "Lightning 8 steps"
RECIPE_LIGHTNING_4 = "Lightning 4 steps"
RECIPES = (RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_8, RECIPE_LIGHTNING_4)

PRECISIONS = ("bf16", "fp8_e4m3fn", "fp8_scaled", "int8_convrot", "nvfp4")
TEXT_ENCODER_DEVICES = (AUTO, "gpu", "cpu")
MODULATION_CHOICES = (AUTO, "on", "off")


def file_input(role: str) -> str:
    """The input in which a file of a role (load_plan.ROLES) is named."""
    return f"{role}_file"


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """The widgets of Load Qwen-Image. `*_file` is "auto" or a file name as ComfyUI lists it ("qwen/x.safetensors").

    `vram_limit_bytes` is 0 for no limit.
    """

    release: str
    recipe: str = AUTO
    precision: str = AUTO
    download_missing: bool = False
    diffusion_model_file: str = AUTO
    text_encoder_file: str = AUTO
    vae_file: str = AUTO
    lora_file: str = AUTO
    vram_limit_bytes: int = 0
    text_encoder_device: str = AUTO
    modulation: str = AUTO

    def file_for(self, role: str) -> str:
        """What the file input of a role (load_plan.ROLES) says, without blanks around it."""
        value: str = getattr(self, file_input(role))
        return value.strip()

    def names_file(self, role: str) -> bool:
        """Whether the user named a file for a role instead of leaving the choice to the node."""
        return self.file_for(role) not in ("", AUTO)

    def to_json(self) -> dict[str, Any]:
        """Plain values, fit for json.dumps."""
        return asdict(self)
