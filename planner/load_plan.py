"""The LoadPlan: the one object that crosses every boundary (panel, log, download, load, tests). Frozen, JSON-able."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .hardware import Hardware
from .request import LoadRequest

ROLE_DIFFUSION_MODEL = "diffusion_model"
ROLE_TEXT_ENCODER = "text_encoder"
ROLE_VAE = "vae"
ROLE_LORA = "lora"
ROLES = (ROLE_DIFFUSION_MODEL, ROLE_TEXT_ENCODER, ROLE_VAE, ROLE_LORA)
STAGE_OF = {ROLE_TEXT_ENCODER: "encode", ROLE_DIFFUSION_MODEL: "sample", ROLE_VAE: "decode"}  # a LoRA has none


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of the plan.

    `name` is the file's own name, `listed_name` how ComfyUI lists the copy on disk ("" when it is missing).
    `catalog_name` is the catalog row it is known as ("" for an unknown file); a missing file always has one.
    """

    role: str
    name: str
    folder: str
    listed_name: str
    catalog_name: str
    weight_format: str
    size_bytes: int
    size_is_exact: bool
    on_disk: bool
    reason: str
    url: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """What the sampler is to be set to. `cfg_norm` is 0.0 where the release uses none. `source` says who states it."""

    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    shift: float
    cfg_norm: float
    lora_strength: float
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or a combination that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something the user should know; `cure` is what to do. `changes`: the inputs, with the values, that cure it."""

    code: str
    message: str
    cure: str
    changes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Memory of one stage ("encode", "sample", "decode"), in bytes.

    `resident_bytes` of weights stay on the device, `streamed_bytes` are moved to it per step (or once, for encode and
    decode), `activation_bytes` is working memory, `buffer_bytes` the host's for what is moved; `peak_vram_bytes` is the
    sum, with what dynamic VRAM leaves there of other models.
    """

    stage: str
    device: str
    resident_bytes: int
    streamed_bytes: int
    activation_bytes: int
    peak_vram_bytes: int
    ram_bytes: int
    note: str
    buffer_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        """What a stage on the graphics card takes whatever stays there: working memory and the host's buffers."""
        return self.activation_bytes + self.buffer_bytes if self.device == "gpu" else 0


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What Load Qwen-Image will do on this machine and why. Made by planner.plan.plan, changed by nothing.

    `error` is "" when the plan can be carried out (after fetching what is missing); otherwise it is one message with
    every reason and the next step, and `files` and `stages` may be empty. `error_changes`: as a warning's `changes`.
    `weight_dtype`: torch's name of the dtype in which ComfyUI is told to hold the diffusion model; "" where it decides.
    """

    request: LoadRequest
    hardware: Hardware
    error: str
    release: str
    recipe: str
    recipe_reason: str
    files: tuple[PlannedFile, ...]
    settings: SamplerSettings | None
    stages: tuple[StagePlan, ...]
    modulation_table: bool
    modulation_reason: str
    text_encoder_device: str
    ram_needed_bytes: int
    rereads_from_disk: bool
    width: int
    height: int
    warnings: tuple[PlanWarning, ...]
    refusals: tuple[Refusal, ...]
    error_changes: tuple[tuple[str, str], ...] = ()
    weight_dtype: str = ""

    @property
    def missing(self) -> tuple[PlannedFile, ...]:
        """The files that have to be fetched first."""
        return tuple(f for f in self.files if not f.on_disk)

    def find_file(self, role: str) -> PlannedFile | None:
        """The plan's file for `role`, None if the plan uses none."""
        return next((f for f in self.files if f.role == role), None)

    def get_file(self, role: str) -> PlannedFile:
        """The plan's file for `role`. Raises KeyError if the plan uses none."""
        found = self.find_file(role)
        if found is None:
            raise KeyError(f"the plan has no {role}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The whole plan as plain values, with `missing_bytes` added."""
        values = asdict(self)
        values["hardware"] = self.hardware.to_json()
        values["missing_bytes"] = sum(f.size_bytes for f in self.missing)
        return values
