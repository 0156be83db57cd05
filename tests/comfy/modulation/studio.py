"""The pack as ComfyUI loads it, beside the real ComfyUI that stage.py has put on the path: models, LoRAs, latents."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from pathlib import Path
from typing import Any

import comfy.sample
import comfy.sd
import torch

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("qil", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
assert spec is not None
sys.modules["qil"] = importlib.util.module_from_spec(spec)
modulation: Any = importlib.import_module("qil.runtime.modulation")


class LogLines(logging.Handler):
    """What the pack logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


log = LogLines()
logging.getLogger("qwen-image-loader").addHandler(log)
logging.getLogger("qwen-image-loader").setLevel(logging.INFO)


def load_stock(path: str, **options: Any) -> Any:
    """MODEL as the host's own loader gives it."""
    return comfy.sd.load_diffusion_model(path, model_options=options)


def load_tabled(path: str, cache: str, **options: Any) -> Any:
    """MODEL with the table, as the pack's loader gives it."""
    return modulation.apply_modulation_table(load_stock(path, **options), path, cache)


def layers_read(model: Any) -> int:
    """How many modulation layers were read from the file so far."""
    return model.model.diffusion_model.transformer_blocks[0].img_mod[1].table.layers_read


def row_files(cache: Path) -> list[Path]:
    """The rows in a cache folder, which holds marks of their model files too."""
    return sorted(cache.glob("*.safetensors"))


def sample(
    model: Any,
    sampler: str = "euler",
    cfg: float = 1.0,
    steps: int = 3,
    batch: int = 1,
    denoise: float = 1.0,
    layers: int = 1,
    cond: dict[str, Any] | None = None,
) -> torch.Tensor:
    """Latents [batch, 16, layers, 4, 6] of a KSampler with fixed random noise and prompts."""
    random = torch.Generator().manual_seed(7)
    shape = (batch, 16, layers, 4, 6)
    noise, image = torch.randn(shape, generator=random), torch.randn(shape, generator=random)
    prompts = [[[torch.randn(1, 9, 3584, generator=random), dict(cond or {})]] for _ in range(2)]
    latent = image if denoise < 1 else torch.zeros(shape)
    result = comfy.sample.sample(
        model, noise, steps, cfg, sampler, "simple", *prompts, latent, denoise=denoise, disable_pbar=True, seed=7
    )
    assert torch.isfinite(result).all()
    return result


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Greatest absolute difference; 0.0 means the same bits but for the sign of zero."""
    return float((one.float() - other.float()).abs().max())


def make_lora(seed: int, *layers: str, rank: int = 4) -> dict[str, torch.Tensor]:
    """A LoRA for layers such as `img_mod.1` or `attn.to_q` of block 0, as trainers name its tensors."""
    random = torch.Generator().manual_seed(seed)
    lora = {}
    for layer in layers:
        out_width = 6 * 3072 if "_mod" in layer else 3072
        key = f"transformer_blocks.0.{layer}"
        lora[f"{key}.lora_down.weight"] = torch.randn(rank, 3072, generator=random)
        lora[f"{key}.lora_up.weight"] = torch.randn(out_width, rank, generator=random) / 50
    return lora


def with_lora(model: Any, lora: dict[str, torch.Tensor], strength: float = 1.0) -> Any:
    """A clone of the model with the LoRA, as the host's LoRA loader makes it."""
    return comfy.sd.load_lora_for_models(model, None, lora, strength, 0)[0]
