"""The releases of Qwen-Image 1.x and the sampler settings each recipe wants. Settings name their source."""

from __future__ import annotations

from dataclasses import dataclass

from .load_plan import SamplerSettings
from .request import RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8

QWEN_IMAGE = "Qwen-Image"
QWEN_IMAGE_2512 = "Qwen-Image-2512"
QWEN_IMAGE_EDIT = "Qwen-Image-Edit"
QWEN_IMAGE_EDIT_2509 = "Qwen-Image-Edit-2509"
QWEN_IMAGE_EDIT_2511 = "Qwen-Image-Edit-2511"
QWEN_IMAGE_LAYERED = "Qwen-Image-Layered"

LORA_STRENGTH = 1.0  # of every Lightning LoRA, by its authors; a plan without a LoRA says 0.0

VAE_RGB = "rgb"
VAE_LAYERED = "layered"


def _settings(steps: int, cfg: float, shift: float, source: str, *, cfg_norm: float = 0.0) -> SamplerSettings:
    return SamplerSettings(steps, cfg, "euler", "simple", shift, cfg_norm, 0.0, source)


@dataclass(frozen=True, slots=True)
class Release:
    """One release: its files share keys and shapes, so only names, sizes and hashes tell most of them apart.

    `settings` maps a recipe to what the sampler needs; a recipe without a row does not exist for the release.
    `sees_images`: the text encoder is shown pictures (TextEncodeQwenImageEdit in the release's template).
    `width` and `height` are the size the memory plan assumes, in pixels; `layers` and `reference_pixels` what is
    sampled beside one picture of that size, by the release's template.
    """

    name: str
    sees_images: bool
    vae_kind: str
    settings: dict[str, SamplerSettings]
    width: int = 1328
    height: int = 1328
    layers: int = 1
    reference_pixels: int = 0

    @property
    def sampled_pixels(self) -> int:
        """Pixels that a step works on."""
        return self.width * self.height * self.layers + self.reference_pixels


_TEMPLATE = "ComfyUI template image_qwen_image"
_MEGAPIXEL = 1024 * 1024

# The template runs its Lightning LoRA at shift 3.1, the LoRA's authors write 3.0; the template's picture decides.
RELEASES: dict[str, Release] = {
    r.name: r
    for r in (
        Release(
            QWEN_IMAGE,
            False,
            VAE_RGB,
            {
                RECIPE_BASE: _settings(20, 4.0, 3.1, _TEMPLATE),
                RECIPE_DISTILLED: _settings(
                    15, 1.0, 3.1, "ComfyUI docs, Qwen-Image tutorial; shift as in the template"
                ),
                RECIPE_LIGHTNING_8: _settings(8, 1.0, 3.1, _TEMPLATE),
                RECIPE_LIGHTNING_4: _settings(
                    4, 1.0, 3.1, "ModelTC Qwen-Image-Lightning README; shift as in the template"
                ),
            },
        ),
        Release(
            QWEN_IMAGE_2512,
            False,
            VAE_RGB,
            {
                RECIPE_BASE: _settings(50, 4.0, 3.1, "ComfyUI template image_qwen_Image_2512"),
                RECIPE_LIGHTNING_8: _settings(
                    8, 1.0, 3.1, "lightx2v Qwen-Image-2512-Lightning; shift as in the template"
                ),
                RECIPE_LIGHTNING_4: _settings(4, 1.0, 3.1, "ComfyUI template image_qwen_Image_2512"),
            },
        ),
        Release(
            QWEN_IMAGE_EDIT,
            True,
            VAE_RGB,
            {
                RECIPE_BASE: _settings(20, 2.5, 3.0, "ComfyUI template image_qwen_image_edit", cfg_norm=1.0),
                RECIPE_LIGHTNING_8: _settings(8, 1.0, 3.0, "ModelTC Qwen-Image-Lightning README", cfg_norm=1.0),
                RECIPE_LIGHTNING_4: _settings(4, 1.0, 3.0, "ComfyUI template image_qwen_image_edit", cfg_norm=1.0),
            },
            reference_pixels=3 * _MEGAPIXEL // 2,
        ),
        Release(
            QWEN_IMAGE_EDIT_2509,
            True,
            VAE_RGB,
            {
                RECIPE_BASE: _settings(20, 4.0, 3.0, "ComfyUI template image_qwen_image_edit_2509", cfg_norm=1.0),
                RECIPE_LIGHTNING_8: _settings(8, 1.0, 3.0, "ModelTC Qwen-Image-Lightning README", cfg_norm=1.0),
                RECIPE_LIGHTNING_4: _settings(4, 1.0, 3.0, "ComfyUI template image_qwen_image_edit_2509", cfg_norm=1.0),
            },
            reference_pixels=_MEGAPIXEL,
        ),
        Release(
            QWEN_IMAGE_EDIT_2511,
            True,
            VAE_RGB,
            {
                RECIPE_BASE: _settings(40, 4.0, 3.1, "ComfyUI template image_qwen_image_edit_2511", cfg_norm=1.0),
                RECIPE_LIGHTNING_8: _settings(8, 1.0, 3.1, "lightx2v Qwen-Image-Edit-2511-Lightning", cfg_norm=1.0),
                RECIPE_LIGHTNING_4: _settings(4, 1.0, 3.1, "ComfyUI template image_qwen_image_edit_2511", cfg_norm=1.0),
            },
            reference_pixels=2 * _MEGAPIXEL,
        ),
        Release(
            QWEN_IMAGE_LAYERED,
            False,
            VAE_LAYERED,
            {RECIPE_BASE: _settings(20, 2.5, 1.0, "ComfyUI template image_qwen_image_layered")},
            layers=3,
            reference_pixels=640 * 640,
            width=640,
            height=640,
        ),
    )
}
