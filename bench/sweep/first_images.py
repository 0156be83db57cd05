"""How far each graph's images are from those of the graph that made them first."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


class FirstImages:
    """Of each run, the images of the graph that was measured first: stock, where it is measured at all."""

    def __init__(self) -> None:
        self._first: dict[Hashable, tuple[str, np.ndarray[Any, Any]]] = {}

    def compare(self, run: Hashable, side: str, images: Sequence[bytes]) -> tuple[str, int | None]:
        """(a short hash of the pixels, the largest difference of 255 to the first graph's images of the same run).

        `images` are PNG files of one size. The difference is None for the first graph itself and for images of another
        size than its own.
        """
        pixels = np.stack([np.asarray(Image.open(BytesIO(data)).convert("RGB")) for data in images])
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
        first_side, first = self._first.setdefault(run, (side, pixels))
        if side == first_side or first.shape != pixels.shape:
            return digest, None
        return digest, int(np.abs(pixels.astype(int) - first).max())
