"""The rows of one timestep: what every modulation layer returns for it, and the buffer that the blocks read."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rows:
    """`image` and `text`: [blocks, distinct rows, 6 x width] on the CPU; `image_index` and `text_index` say which
    distinct row each row of the batch is."""

    image: torch.Tensor
    text: torch.Tensor
    image_index: tuple[int, ...]
    text_index: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.image.nbytes + self.text.nbytes


def pack_rows(outputs: list[torch.Tensor]) -> Rows:
    """outputs: one [batch, 6 x width] per layer on the CPU, in the order block 0 img, block 0 txt, block 1 img, ..."""
    image, image_index = _distinct(torch.stack(outputs[0::2]))
    text, text_index = _distinct(torch.stack(outputs[1::2]))
    return Rows(image, text, image_index, text_index)


def _distinct(rows: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
    """[blocks, batch, width] without rows that repeat another bit for bit in all blocks."""
    kept: list[int] = []
    index = []
    for row in range(rows.shape[1]):
        bits = rows[:, row].contiguous().view(torch.uint8)
        same = (k for k, other in enumerate(kept) if torch.equal(rows[:, other].contiguous().view(torch.uint8), bits))
        found = next(same, None)
        if found is None:
            found = len(kept)
            kept.append(row)
        index.append(found)
    return rows[:, kept].contiguous(), tuple(index)


class RowsBuffer:
    """Memory on the model's device that keeps its address from step to step, for compiled blocks.

    `views` holds one [batch, 6 x width] per layer, in the order of the layers.
    """

    def __init__(self, rows: Rows, device: torch.device) -> None:
        blocks, _, width = rows.image.shape
        with torch.inference_mode(False):
            self._image = torch.empty((blocks, len(rows.image_index), width), dtype=rows.image.dtype, device=device)
            self._text = torch.empty((blocks, len(rows.text_index), width), dtype=rows.text.dtype, device=device)
            pairs = zip(self._image.unbind(0), self._text.unbind(0), strict=True)
            self.views = [view for pair in pairs for view in pair]

    def fill(self, rows: Rows) -> None:
        """Copy the rows of a timestep in, repeated as the batch repeats them."""
        for buffer, distinct, index in (
            (self._image, rows.image, rows.image_index),
            (self._text, rows.text, rows.text_index),
        ):
            buffer.copy_(distinct if index == tuple(range(distinct.shape[1])) else distinct[:, list(index)])
