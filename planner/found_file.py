"""A model file on this disk: where ComfyUI lists it and what it turned out to be."""

from __future__ import annotations

from dataclasses import dataclass

from .request import RECIPE_BASE


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file is, read from its header, name and size. `evidence` says by what, for the reasons on the node; it is
    "" for a diffusion model whose release and recipe nothing tells, so that they are the first release's and base;
    `says_release` is False where that is so of the release.

    `release` is "" where the file serves every release (text encoder, VAE) or where nothing tells (a LoRA of unknown
    origin). `recipe` is "" for a LoRA that is not a Lightning LoRA. Byte counts are of tensors: `modulation_bytes` are
    those of the img_mod/txt_mod layers, `block_bytes` the largest transformer block's without them.
    `lacks_marker`: an Edit-2511 model without the tensor by which ComfyUI knows it. `has_comfy_quant`: quantized with
    the marks that ComfyUI 0.3.75 does not know yet.
    """

    role: str
    weight_format: str
    evidence: str
    release: str = ""
    recipe: str = RECIPE_BASE
    trained_on: str = ""
    version: tuple[int, int] = (0, 0)
    vae_kind: str = ""
    catalog_name: str = ""
    weight_bytes: int = 0
    modulation_bytes: int = 0
    block_bytes: int = 0
    lacks_marker: bool = False
    says_release: bool = False
    has_comfy_quant: bool = False


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file below a model folder. Exactly one of `identity` and `problem` is set.

    `listed_name` is the name as ComfyUI lists it, subfolders included, always with "/". `problem` says in words why it
    is not usable here; `broken` tells a damaged or foreign-format file from one that is simply another kind of model.
    `belongs_to` is the role of a Qwen-Image file in the folder of another role, else "".
    """

    folder: str
    listed_name: str
    size_bytes: int
    identity: Identity | None = None
    problem: str = ""
    broken: bool = False
    belongs_to: str = ""

    @property
    def name(self) -> str:
        """The file's own name, without subfolders."""
        return self.listed_name.rsplit("/", 1)[-1]
