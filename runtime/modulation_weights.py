"""The modulation layers' weights: mapped from the model file, looked at when needed, copied nowhere.

The host has already made each layer (`Linear` of the class its weight format asks for). This module keeps the empty
shell of each and fills a copy of it from the file, through the layer's own `load_state_dict`, as the host did. A
mapped tensor costs address space only: the operating system may drop its pages at any time.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Container, Iterator

import comfy.model_management
import comfy.utils
import torch

from .modulation_file import MODULATION_KEY, MappedFile, is_modulation
from .page_cache import fetch
from .ram import is_roomy

LINEARS = ("img_mod", "txt_mod")
SAMPLES_PER_TENSOR = 4
SAMPLE_BYTES = 4096
BeforeReading = Callable[[int], None]  # with a block's number


class ModulationSourceError(ValueError):
    """The file does not hold the modulation weights of the loaded model; the message names it and says why."""


class ModulationWeights:
    """The 2 x blocks modulation layers of one loaded model, in the order block 0 img, block 0 txt, block 1 img, ...

    `loaded_bytes` is what the host counted for them, `fingerprint` names their content.
    `before_reading` is called before one of a block's layers is copied.
    Raises ModulationSourceError when `source_path` is not the safetensors file that `diffusion_model` was loaded from.
    """

    def __init__(
        self, diffusion_model: torch.nn.Module, source_path: str, before_reading: BeforeReading | None = None
    ) -> None:
        self.path = source_path
        self._before_reading = before_reading
        loaded = [getattr(block, name)[1] for block in diffusion_model.transformer_blocks for name in LINEARS]
        self.names = [
            f"transformer_blocks.{block}.{name}.1"
            for block in range(len(diffusion_model.transformer_blocks))
            for name in LINEARS
        ]
        self._loaded_dtypes = [{n: p.dtype for n, p in layer.named_parameters(recurse=False)} for layer in loaded]
        self.loaded_bytes = sum(comfy.model_management.module_size(layer) for layer in loaded)
        self._tensors = self._map_tensors()
        self._shells = [_shell(layer, name, self._tensors) for name, layer in zip(self.names, loaded, strict=True)]
        self._layers: list[torch.nn.Module | None] = [None] * len(self.names)
        self._file.read_ahead(False)
        for index, layer in enumerate(loaded):
            self._check_same(index, layer)
        self.fingerprint = self._fingerprint()
        self._file.read_ahead(True)

    def __deepcopy__(self, memo: dict[int, object]) -> ModulationWeights:
        return self

    def layer(self, index: int) -> torch.nn.Module:
        """The layer with the file's own tensors, mapped. Shared: neither to be moved nor written to."""
        layer = self._layers[index]
        if layer is None:
            layer = _fill(self._shells[index], self.names[index], self._tensors)
            mapped = {tensor.data_ptr() for tensor in self._tensors.values()}
            if all(value.data_ptr() in mapped for value in layer.state_dict().values() if value.ndim > 1):
                self._layers[index] = layer  # the class did not convert (that is, copy) its weight: keep it mapped
        return layer

    def copy_layer(self, index: int, device: torch.device) -> torch.nn.Module:
        """A layer of the caller's own on `device`, in the dtypes in which the host would hold it there."""
        self.check_unchanged()
        if self._before_reading:
            self._before_reading(index // len(LINEARS))
        self._file.fetch(self._file_prefix(index))
        source = self.layer(index)
        layer = copy.copy(source)
        layer._parameters = {}
        for name, param in source.named_parameters(recurse=False):
            value = param.detach().to(device)
            value = value.to(self.held_dtype(index, name, param))
            if value.device.type == "cpu" and value.data_ptr() == param.data_ptr():
                value = value.clone()  # mapped memory is not aligned as allocated memory is, and kernels notice
            layer.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
        return layer

    def check_unchanged(self) -> None:
        """Raises ModulationSourceError where the file was written to after it was loaded."""
        if not self._file.is_unchanged():
            raise ModulationSourceError(
                f"{self.path} was changed after it had been loaded. Press Run again: it is then loaded anew."
            )

    def forget(self, index: int) -> None:
        """Leave the system's memory to others, where it is scarce, after layer `index` was read for the last time.

        Otherwise gigabytes that were just read push out what is used at every run, the libraries' own code included,
        and what was read ahead.
        """
        if not is_roomy():
            self._file.forget(self._file_prefix(index))

    def _file_prefix(self, index: int) -> str:
        return f"{self._prefix}{self.names[index]}."

    def held_dtype(self, index: int, name: str, param: torch.Tensor) -> torch.dtype:
        """The dtype in which the host holds parameter `name`: dynamic VRAM casts when it stages, others at load."""
        if not is_plain(param):
            return param.dtype  # a quantized tensor is never cast
        wanted = getattr(self.layer(index), f"{name}_comfy_model_dtype", None)
        return wanted or self._loaded_dtypes[index].get(name, param.dtype)

    def _map_tensors(self) -> dict[str, torch.Tensor]:
        """Name without the file's prefix -> mapped tensor of every modulation layer, in the host's present spelling."""
        try:
            self._file = file = MappedFile(self.path)
            keys = [match for match in map(MODULATION_KEY.match, file.names) if match]
            if not keys:
                raise ValueError("it has no modulation layers (transformer_blocks.N.img_mod)")
            self._prefix = prefix = keys[0].group(1)
            marks = [name for name in file.names if name in ("scaled_fp8", f"{prefix}scaled_fp8")]
            tensors = {name: file.tensor(name) for name in [match.group(0) for match in keys] + marks}
        except (OSError, ValueError) as error:
            raise ModulationSourceError(f"{self.path} cannot be read as a model in safetensors: {error}") from error
        metadata = file.metadata
        convert = getattr(comfy.utils, "convert_old_quants", None)  # hosts before 0.3.77 read the old spelling itself
        if convert:
            tensors, metadata = convert(tensors, "", metadata=metadata)
        tensors = {name[len(prefix) :] if name.startswith(prefix) else name: t for name, t in tensors.items()}
        if convert and prefix:
            tensors, _ = convert(tensors, "", metadata=metadata)
        wanted = tuple(f"{name}." for name in self.names)
        return {name: tensor for name, tensor in tensors.items() if name.startswith(wanted)}

    def _check_same(self, index: int, loaded: torch.nn.Module) -> None:
        """Names and shapes must be those the host loaded; for the first and last layer, the first numbers too.

        No more than these: with dynamic VRAM the host's tensors are mapped as well, and a look at one reads ahead.
        """
        expected, found = loaded.state_dict(), self.layer(index).state_dict()
        same = expected.keys() == found.keys() and all(found[name].shape == expected[name].shape for name in expected)
        if same and index in (0, len(self.names) - 1):
            for name, value in expected.items():
                head = found[name].reshape(-1)[:64].to(device=value.device).to(value.dtype)
                same = same and torch.equal(raw_bytes(value.reshape(-1)[:64]), raw_bytes(head))
        if not same:
            raise ModulationSourceError(f"{self.path} does not hold the loaded weights of {self.names[index]}")

    def _fingerprint(self) -> str:
        """Hash of the file's header, its size and bytes from the start, the middle and the end of each tensor."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self._file.header)
        digest.update(str(self._file.size).encode())
        fetch(self.path, self._sampled_spans())
        for name in sorted(self._tensors):
            data = raw_bytes(self._tensors[name])
            for start in _sample_starts(data.numel()):
                digest.update(data[start : start + SAMPLE_BYTES].numpy().tobytes())
        return digest.hexdigest()

    def _sampled_spans(self) -> Iterator[tuple[int, int]]:
        """The bytes [first, last) of the file that the fingerprint looks at."""
        for name in filter(is_modulation, self._file.names):
            first, last = self._file.span(name)
            for start in sorted(set(_sample_starts(last - first))):
                yield first + start, min(last, first + start + SAMPLE_BYTES)


def _sample_starts(nbytes: int) -> list[int]:
    """Where the samples of a tensor begin."""
    last = max(0, nbytes - SAMPLE_BYTES)
    return [last * sample // (SAMPLES_PER_TENSOR - 1) for sample in range(SAMPLES_PER_TENSOR)]


def is_plain(param: torch.Tensor) -> bool:
    """Whether it is an ordinary tensor; the host's quantized formats are subclasses with their own rules."""
    return type(param.detach()) is torch.Tensor


def raw_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's bytes in one row on the CPU, for comparison and hashing."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def _shell(layer: torch.nn.Module, layer_name: str, in_file: Container[str]) -> torch.nn.Module:
    """A copy of the layer without its weights: parameters on the meta device, quantized ones absent.

    What the file does not hold stays as the host made it (hosts before 0.3.77 make a scale of their own for fp8).
    """
    shell = copy.copy(layer)
    shell._parameters = {}
    for name, param in layer.named_parameters(recurse=False):
        if not is_plain(param):
            shell.register_parameter(name, None)
        elif f"{layer_name}.{name}" in in_file:
            empty = torch.empty(param.shape, dtype=param.dtype, device="meta")
            shell.register_parameter(name, torch.nn.Parameter(empty, requires_grad=False))
        else:
            shell.register_parameter(name, param)
    return shell


def _fill(shell: torch.nn.Module, name: str, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A copy of `shell` with the mapped tensors, loaded under the layer's full name as the host loads it."""
    layer = copy.copy(shell)
    layer._parameters = dict(shell._parameters)
    root = part = torch.nn.Module()
    *parents, last = name.split(".")
    for parent in parents:
        part.add_module(parent, torch.nn.Module())
        part = getattr(part, parent)
    part.add_module(last, layer)
    root.load_state_dict({k: t for k, t in tensors.items() if k.startswith(f"{name}.")}, strict=False, assign=True)
    return layer
