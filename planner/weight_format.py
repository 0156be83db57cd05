"""The weight format of a checkpoint, from dtypes and marker tensors in its header."""

from __future__ import annotations

from collections import Counter

from .safetensors_header import ForeignFileError, SafetensorsHeader

_BY_DTYPE = {"BF16": "bf16", "F16": "fp16", "F32": "fp32", "F8_E4M3": "fp8_e4m3fn", "F8_E5M2": "fp8_e5m2"}
_COMFY_QUANT_BY_DTYPE = {"F8_E4M3": "fp8_scaled", "F8_E5M2": "fp8_scaled", "I8": "int8_convrot", "U8": "nvfp4"}
_BLOCK_SCALES = ("U8", "F8_E8M0")  # of mxfp8: one for 32 weights
# What ComfyUI must know (keys of comfy.quant_ops.QUANT_ALGOS) to load a format; formats not listed need nothing.
NEEDED_QUANT_FORMAT = {"int8_convrot": "int8_tensorwise", "mxfp8": "mxfp8", "nvfp4": "nvfp4"}
NATIVE_ON_RTX_50 = ("mxfp8", "nvfp4")
# Most exact first: fewer rounding steps between the trained weights and what is multiplied.
EXACTNESS = ("fp32", "bf16", "fp16", "int8_convrot", "fp8_scaled", "mxfp8", "fp8_e4m3fn", "fp8_e5m2", "nvfp4")
MIXED_WITH_FLOAT8 = ("nvfp4",)  # its scales
FLOAT8 = ("fp8_scaled", "mxfp8", "fp8_e4m3fn", "fp8_e5m2")


def detect_weight_format(header: SafetensorsHeader) -> str:
    """The format most of the file's bytes are in, named as on the hub.

    Raises ForeignFileError for layouts ComfyUI would load wrongly or not at all: nunchaku's SVDQuant, and scale tensors
    without ComfyUI's own marks (their scales would be dropped, which gives noise).
    """
    endings = {name.rpartition(".")[2] for name in header.tensors}
    is_marked = "_quantization_metadata" in header.metadata or has_comfy_quant(header)
    has_legacy_scale = "scaled_fp8" in endings
    if "qweight" in endings or "quantization_config" in header.metadata:
        raise ForeignFileError("it is a nunchaku (SVDQuant) file; load it with the ComfyUI-nunchaku pack")
    by_dtype = _bytes_by_dtype(header)
    is_quantized = any(by_dtype[dtype] > by_dtype.total() // 2 for dtype in _COMFY_QUANT_BY_DTYPE)
    scales = {"weight_scale", "scales"} | {ending for ending in endings if "scale" in ending and is_quantized}
    if not is_marked and not has_legacy_scale and endings & scales:
        raise ForeignFileError(
            "its scales are not marked for ComfyUI, which would drop them and make noise; "
            "use the file with 'comfyui' in its name or the Comfy-Org file"
        )
    if not by_dtype:
        raise ForeignFileError("it has no weight matrices")
    dtype = by_dtype.most_common(1)[0][0]
    if is_marked:
        # A text encoder keeps its large embedding in bf16: the quantized layers decide, not the bulk of the bytes.
        weights = _bytes_by_dtype(header, ".weight")
        dtype = next((d for d in ("U8", "I8", "F8_E4M3", "F8_E5M2") if weights[d] > 4096), dtype)
        if dtype == "F8_E4M3" and any(_bytes_by_dtype(header, ".weight_scale")[d] for d in _BLOCK_SCALES):
            return "mxfp8"
        known = _BY_DTYPE | _COMFY_QUANT_BY_DTYPE
        if dtype not in known:
            raise ForeignFileError(f"its weights are {dtype}, a quantization that this node does not know")
        return known[dtype]
    if has_legacy_scale:
        return "fp8_scaled"
    if dtype not in _BY_DTYPE:
        raise ForeignFileError(f"its weights are {dtype} without ComfyUI's quantization marks")
    return _BY_DTYPE[dtype]


def has_comfy_quant(header: SafetensorsHeader) -> bool:
    """True if its quantized layers are marked by tensors of their own, which ComfyUI 0.3.75 does not look at."""
    return any(name.rpartition(".")[2] == "comfy_quant" for name in header.tensors)


def _bytes_by_dtype(header: SafetensorsHeader, ending: str = "") -> Counter[str]:
    """Bytes of the matrices whose names end so."""
    sums: Counter[str] = Counter()
    for name, tensor in header.tensors.items():
        if len(tensor.shape) >= 2 and name.endswith(ending):
            sums[tensor.dtype] += tensor.nbytes
    return sums
