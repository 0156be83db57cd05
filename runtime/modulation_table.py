"""The modulation table of one loaded model: rows by timestep embedding, from memory, the disk or the layers themselves.

A block's `img_mod` and `txt_mod` see nothing but the timestep embedding. So each call of the model needs one lookup, in
a forward hook on `time_text_embed`: there the embedding is final, whatever sampler, wrapper, LoRA or release made it
(CFG batches, Edit-2511's zero rows, Layered's extra condition included). The key is the embedding's bytes.
On a miss the layers are read from the file once, for the whole schedule that the sampler announced.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch

from .log import log
from .modulation_arithmetic import describe_arithmetic
from .modulation_cache import ModulationCache
from .modulation_layer import TabledLinear
from .modulation_patch_content import patch_content
from .modulation_patches import hooks_any, inference_dtype, load_layer, may_hook, patches_any
from .modulation_rows import Rows, RowsBuffer, pack_rows
from .modulation_weights import LINEARS, ModulationWeights, raw_bytes

MEMORY_LIMIT_BYTES = 256 * 1024**2
BUFFERS = 4


@dataclass(frozen=True)
class _Call:
    """Known before a forward: rows of the input, the sampler's sigmas, whether patches may change the embedding."""

    batch: int | None
    sigmas: torch.Tensor | None
    checked: bool


@dataclass(frozen=True)
class _Request:
    """One timestep embedding [batch, width]; the text layers see its first `text_rows` rows."""

    name: str
    embedding: torch.Tensor
    text_rows: int

    def layer_input(self, index: int) -> torch.Tensor:
        """What layer `index` would be given (the SiLU before it included)."""
        rows = len(self.embedding) if index % 2 == 0 else self.text_rows
        return torch.nn.functional.silu(self.embedding[:rows])


class ModulationTable:
    """`rows` is one [batch, 6 x width] per layer during a call of the model, None when the layers must run themselves.

    `layers_read` counts the layers that were read from the model file to be run.
    """

    def __init__(self, base_model: Any, weights: ModulationWeights, cache: ModulationCache) -> None:
        self.weights = weights
        self.rows: list[torch.Tensor] | None = None
        self.expected: torch.Tensor | None = None
        self.layers_read = 0
        self._base = weakref.ref(base_model)
        self._cache = cache
        self._call = _Call(None, None, True)
        self._memory: OrderedDict[str, Rows] = OrderedDict()
        self._schedule: set[str] = set()
        self._buffers: OrderedDict[tuple[Any, ...], RowsBuffer] = OrderedDict()
        self._hooked = False
        self._patch_content: tuple[tuple[Any, torch.device], str | None] | None = None

    def attach(self, diffusion_model: Any) -> None:
        """Put the table in the place of the model's modulation layers."""
        for index in range(len(self.weights.names)):
            linears = getattr(diffusion_model.transformer_blocks[index // 2], LINEARS[index % 2])
            linears[1] = TabledLinear(self, index, linears[1])
        diffusion_model.register_forward_pre_hook(self._before_model, with_kwargs=True)
        diffusion_model.time_text_embed.register_forward_hook(self._after_embedding, with_kwargs=True)

    def held_parameter(self, index: int, name: str) -> torch.nn.Parameter | None:
        """`weight` or `bias` of a hidden layer as the host would hold it, unpatched: mapped, or cast for this call.

        A copy for a patcher with scheduled LoRAs on it: the host writes those into what it gets here, `load_layer`
        applies them by itself.
        """
        param = getattr(self.weights.layer(index), name)
        if param is None:
            return None
        patcher = self._patcher()
        written = patcher is not None and may_hook(self.weights, patcher, index)
        dtype = self.weights.held_dtype(index, name, param)
        if dtype == param.dtype and not written:
            return param
        return torch.nn.Parameter(param.detach().to(dtype, copy=True), requires_grad=False)

    def patching(self, index: int) -> Any | None:
        """The loaded patcher if it patches layer `index`, else None."""
        patcher = self._patcher()
        one = range(index, index + 1)
        return patcher if patcher is not None and patches_any(self.weights, patcher, one) else None

    def load_patched_layer(self, index: int) -> torch.nn.Module:
        """Layer `index` with the loaded patcher's patches, on its device."""
        patcher = self._patcher()
        base = self._base()
        device = torch.device("cpu") if patcher is None else patcher.load_device
        dtype = torch.float32 if base is None else inference_dtype(base)
        return load_layer(self.weights, index, patcher, device, dtype)

    @torch.compiler.disable
    def run_layer(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """What layer `index` itself returns for `x`, its weights read from the file for this call alone."""
        self.layers_read += 1
        return load_layer(self.weights, index, self._patcher(), x.device, x.dtype)(x)

    @torch.compiler.disable
    def _before_model(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.rows = self.expected = None
        options = kwargs.get("transformer_options") or {}
        x = args[0] if args else kwargs.get("x")
        replaced = options.get("patches_replace", {}).get("dit", {})
        swaps = any(isinstance(block, tuple) and block[0] == "double_block" for block in replaced)
        checked = swaps or self._has_patched_blocks()
        self._call = _Call(None if x is None else len(x), options.get("sample_sigmas"), checked)

    @torch.compiler.disable
    def _after_embedding(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], embedding: Any) -> None:
        self.rows = self.expected = None
        if embedding.ndim != 2 or embedding.requires_grad:
            return
        patcher = self._patcher()
        hooked = patcher is not None and hooks_any(self.weights, patcher)
        if hooked and not self._hooked:
            log.info("Modulation table: scheduled LoRAs change these layers, so they are run at every step.")
        self._hooked = hooked
        state = describe_arithmetic(self.weights.layer(0), patcher, embedding.device)
        on_disk = True
        if patcher is not None and patches_any(self.weights, patcher, range(len(self.weights.names))):
            content = self._content_of_patches(patcher, embedding.device)
            state += f" patches {content or patcher.patches_uuid}"
            on_disk = content is not None
        request = self._request(state, embedding)
        if hooked:
            rows = self._build([request], patcher)[0]
        else:
            rows = self._find(request.name, on_disk)
            if rows is None:
                rows = self._build_schedule(request, state, patcher, on_disk, module, args, kwargs)
        self._show(rows, embedding)

    def _has_patched_blocks(self) -> bool:
        """Whether someone has replaced a block or its forward, which may then change the embedding on its way.

        A block that was only compiled (it keeps the original in `_orig_mod`) does what it did.
        """
        patches = getattr(self._patcher(), "object_patches", None) or {}
        blocks = (patch for name, patch in patches.items() if name.startswith("diffusion_model.transformer_blocks."))
        return any(not hasattr(patch, "_orig_mod") for patch in blocks)

    def _patcher(self) -> Any | None:
        """The patcher that runs or, outside of sampling, the one that is loaded."""
        base = self._base()
        if base is None or base.current_patcher is not None:
            return base and base.current_patcher
        loaded = (p for p in comfy.model_management.loaded_models() if p is not None and p.model is base)
        return next(loaded, None)

    def _content_of_patches(self, patcher: Any, device: torch.device) -> str | None:
        """As `patch_content`, once for each set of patches and device."""
        of = patcher.patches_uuid, device
        if self._patch_content is None or self._patch_content[0] != of:
            self._patch_content = of, patch_content(self.weights, patcher, device)
        return self._patch_content[1]

    def _request(self, state: str, embedding: torch.Tensor) -> _Request:
        text_rows = len(embedding)
        if self._call.batch is not None and text_rows == 2 * self._call.batch:
            text_rows = self._call.batch  # Edit-2511: the second half is for the reference images alone
        digest = hashlib.blake2b(f"{self.weights.fingerprint} {state} {text_rows}".encode(), digest_size=16)
        digest.update(f"{embedding.dtype} {tuple(embedding.shape)}".encode())
        digest.update(raw_bytes(embedding).numpy())
        return _Request(digest.hexdigest(), embedding.detach(), text_rows)

    def _find(self, name: str, on_disk: bool) -> Rows | None:
        rows = self._memory.get(name)
        if rows is None and on_disk:
            rows = self._cache.get(name)
        if rows is not None:
            self._remember(name, rows)
        return rows

    def _remember(self, name: str, rows: Rows) -> None:
        """Keep in memory; the least recently used that the present schedule does not need go first."""
        self._memory[name] = rows
        self._memory.move_to_end(name)
        total = sum(kept.nbytes for kept in self._memory.values())
        for old in [old for old in self._memory if old != name and old not in self._schedule]:
            if total <= MEMORY_LIMIT_BYTES:
                break
            total -= self._memory.pop(old).nbytes

    def _build_schedule(
        self, request: _Request, state: str, patcher: Any, on_disk: bool, module: Any, args: Any, kwargs: Any
    ) -> Rows:
        """Read the layers once for all timesteps of the schedule that have no rows yet, this one among them."""
        wanted = {request.name: request}
        for embedding in self._announced(module, args, kwargs):
            other = self._request(state, embedding)
            if self._find(other.name, on_disk) is None:
                wanted.setdefault(other.name, other)
        log.info(f"Modulation table: reading {len(self.weights.names)} layers once for {len(wanted)} timesteps.")
        built = self._build(list(wanted.values()), patcher, forget=True)
        self.weights.check_unchanged()  # else rows of other weights would be stored under this file's name
        self._schedule = set(wanted)
        for name, rows in zip(wanted, built, strict=True):
            self._remember(name, rows)
            if on_disk:
                self._cache.put(name, rows)
        if on_disk:
            self._cache.trim()
        return built[0]

    def _announced(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """The embeddings of the sampler's timesteps, made as this one was.

        A timestep off the schedule may be one of those halfway (dpm_2 takes them in the logarithm); [] for any other.
        """
        base, sigmas = self._base(), self._call.sigmas
        timestep = args[0]
        present = timestep[timestep != 0].unique()
        if base is None or sigmas is None or len(present) != 1:
            return []
        halfway = sigmas[:-1].log().lerp(sigmas[1:].log(), 0.5).exp()
        for points in (sigmas, halfway):
            steps = base.model_sampling.timestep(points.to(timestep.device)).float().to(timestep.dtype)
            if bool((steps == present).any()):
                batches = [torch.where(timestep == present, step, timestep) for step in steps.unique() if step > 0]
                return [module.forward(batch, *args[1:], **kwargs) for batch in batches]
        return []

    def _build(self, requests: list[_Request], patcher: Any, forget: bool = False) -> list[Rows]:
        """The rows of each request. `forget`: the layers will not be read again soon."""
        outputs: list[list[torch.Tensor]] = [[] for _ in requests]
        device, dtype = requests[0].embedding.device, requests[0].embedding.dtype
        for index in range(len(self.weights.names)):
            layer = load_layer(self.weights, index, patcher, device, dtype)
            self.layers_read += 1
            for request, rows in zip(requests, outputs, strict=True):
                rows.append(layer(request.layer_input(index)).cpu())
            if forget:
                self.weights.forget(index)
        return [pack_rows(rows) for rows in outputs]

    def _show(self, rows: Rows, embedding: torch.Tensor) -> None:
        shape = (embedding.device, rows.image.dtype, len(rows.image_index), len(rows.text_index))
        buffer = self._buffers.get(shape)
        if buffer is None:
            buffer = self._buffers[shape] = RowsBuffer(rows, embedding.device)
            if len(self._buffers) > BUFFERS:
                self._buffers.popitem(last=False)
        buffer.fill(rows)
        self.rows = buffer.views
        self.expected = torch.nn.functional.silu(embedding) if self._call.checked else None
