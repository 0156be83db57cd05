"""What stands in each block where a modulation Linear stood: a module without weights that returns this step's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .modulation_table import ModulationTable

# What the host asks a Linear for by name (comfy.model_patcher.get_key_weight): answered by the hidden layer.
_HIDDEN_LAYER_NAMES = frozenset({"convert_weight", "set_weight", "convert_bias", "set_bias"})


class TabledLinear(torch.nn.Module):
    """Layer `index` of the table. It has no parameters and no `comfy_cast_weights`, so `ModelPatcher` neither counts,
    pins, loads nor streams it; its `weight`, `bias` and `state_dict` show the tensors in the file, so LoRA loaders,
    merges and savers find the layer under its own name.
    """

    def __init__(self, table: ModulationTable, index: int, linear: Any) -> None:
        super().__init__()
        self.table = table
        self.index = index
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [batch, in_features], SiLU of the timestep embedding. Returns [batch, out_features], not to be changed."""
        rows = self.table.rows
        if rows is None or x.requires_grad or rows[self.index].shape[0] != x.shape[0]:
            return self.table.run_layer(self.index, x)
        expected = self.table.expected
        if expected is not None and not torch.equal(expected[: x.shape[0]], x):
            return self.table.run_layer(self.index, x)
        return rows[self.index]

    def __getattr__(self, name: str) -> Any:
        if name in ("weight", "bias"):
            return self.table.held_parameter(self.index, name)
        if name in _HIDDEN_LAYER_NAMES:
            return getattr(self.table.weights.layer(self.index), name)
        return super().__getattr__(name)

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """The hidden layer's own, in the file's tensors; `.to()` patches them while a patcher that does is loaded."""
        found = self.table.weights.layer(self.index).state_dict(prefix=prefix, keep_vars=keep_vars)
        patcher = self.table.patching(self.index)
        destination = {} if destination is None else destination
        for name, value in found.items():
            lazy = patcher is not None and isinstance(value, torch.Tensor)
            destination[name] = PatchedWeight(value, self.table, self.index, name[len(prefix) :]) if lazy else value
        return destination


class _ElsewhereDevice:
    """Stands for "not on the CPU yet": the safetensors library then calls `.to("cpu")` before it writes."""

    type = "qwen-image-loader-lazy"
    index = 0


class PatchedWeight(torch.nn.Parameter):
    """A tensor of a patched layer for a state dict that will be saved: the file's values until `.to()` patches them."""

    def __new__(cls, value: torch.Tensor, table: ModulationTable, index: int, name: str) -> PatchedWeight:
        return torch.Tensor._make_subclass(cls, value.detach(), False)

    def __init__(self, value: torch.Tensor, table: ModulationTable, index: int, name: str) -> None:
        self._table, self._index, self._name = table, index, name

    @property
    def device(self) -> Any:
        return _ElsewhereDevice

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        layer = self._table.load_patched_layer(self._index)
        return layer.state_dict()[self._name].detach().to(self.dtype).to(*args, **kwargs)
