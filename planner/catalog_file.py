"""One row of the catalog: what a public source states about one file, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_LORA, ROLE_TEXT_ENCODER, ROLE_VAE
from .releases import VAE_RGB
from .request import RECIPE_BASE

FOLDERS = {
    ROLE_DIFFUSION_MODEL: "diffusion_models",
    ROLE_TEXT_ENCODER: "text_encoders",
    ROLE_VAE: "vae",
    ROLE_LORA: "loras",
}
OLD_FOLDERS = {"diffusion_models": "unet", "text_encoders": "clip"}  # what ComfyUI called two of them before


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file on the Hugging Face hub.

    `release` is "" where a file serves every release. `recipe` of a diffusion model is what it was trained to do on its
    own (base, distilled, or Lightning when the LoRA is fused in); of a LoRA, the recipe it brings to a base model.
    `trained_on` (LoRA only) is the weight format of the base it was trained on. `sha256` is "" where none is published;
    one that matches identifies a file, one that does not means "unknown", not "broken". `size_is_exact` is False where
    the size is rounded or derived. `source` says where the facts were read.
    """

    name: str
    role: str
    repo: str
    path: str
    weight_format: str
    size_bytes: int
    release: str = ""
    recipe: str = RECIPE_BASE
    trained_on: str = ""
    version: tuple[int, int] = (0, 0)
    vae_kind: str = VAE_RGB
    size_is_exact: bool = False
    sha256: str = ""
    revision: str = "main"
    licence: str = "Apache-2.0"
    licence_note: str = ""
    source: str = "public manifests of the repository"

    @property
    def folder(self) -> str:
        """The ComfyUI model folder the file belongs to."""
        return FOLDERS[self.role]

    @property
    def url(self) -> str:
        """A direct link for a person or for a workflow's `models` list."""
        return f"https://huggingface.co/{self.repo}/resolve/{self.revision}/{quote(self.path)}"

    @property
    def page_url(self) -> str:
        """The page of the repository, where its licence and notes are."""
        return f"https://huggingface.co/{self.repo}"
