"""The numbers about a machine that a decision may use. Measured by runtime.measure, invented by tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

GIB = 1024**3

KIND_CUDA = "cuda"
KIND_ROCM = "rocm"
KIND_XPU = "xpu"
KIND_MPS = "mps"
KIND_CPU = "cpu"
KINDS = (KIND_CUDA, KIND_ROCM, KIND_XPU, KIND_MPS, KIND_CPU)


@dataclass(frozen=True, slots=True)
class Hardware:
    """One machine under one ComfyUI.

    Free memory is shown but never decides, so that a plan does not change by itself. On a CPU-only machine and on MPS,
    `vram_*` repeats `ram_*` (one memory). `vram_reserved_bytes` is what the host keeps free for itself and the desktop.
    `quant_formats` are the quantization formats this ComfyUI loads ("float8_e4m3fn", "int8_tensorwise", "nvfp4", ...;
    the keys of comfy.quant_ops.QUANT_ALGOS). `risky_flags` are start-up options known to spoil Qwen images.
    `efficient_attention`: PyTorch's or xformers' attention, whose working memory grows with the picture alone.
    `fast_disk_is_off`: this ComfyUI has dynamic VRAM and `--fast-disk`, but was started without it.
    """

    kind: str
    device_name: str
    vram_total_bytes: int
    vram_free_bytes: int
    vram_reserved_bytes: int
    ram_total_bytes: int
    ram_available_bytes: int
    compute_capability: tuple[int, int] | None
    supports_bf16: bool
    supports_fp8_storage: bool
    dynamic_vram: bool
    host_version: str
    quant_formats: frozenset[str]
    risky_flags: tuple[str, ...] = ()
    efficient_attention: bool = True
    fast_disk_is_off: bool = False

    @property
    def multiplies_fp8(self) -> bool:
        """True for cards that compute in fp8: NVIDIA's since Ada (model_management.supports_fp8_compute)."""
        return self.kind == KIND_CUDA and (self.compute_capability or (0, 0)) >= (8, 9)

    @property
    def one_memory(self) -> bool:
        """True where weights in "VRAM" and weights in RAM are the same bytes."""
        return self.kind in (KIND_CPU, KIND_MPS)

    def to_json(self) -> dict[str, Any]:
        """Plain values, fit for json.dumps."""
        return {**asdict(self), "quant_formats": sorted(self.quant_formats)}
