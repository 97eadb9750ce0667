"""The image under random masks with soft edges."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch.nn import functional

from servelens.engine.kit import (
    Ends,
    Param,
    Samples,
    Series,
    Shape,
    Source,
    baseline_of,
    baseline_param,
)
from servelens.protocol.shapes import Integer

# Each cell of a mask is as likely to be shown as not.
SHOWN = 0.5


class MaskSamples(Samples):
    """A coarse grid of coin tosses, scaled up smoothly and shifted by up to a cell."""

    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._input = source.input
        self._cover = baseline_of(params["baseline"], source)
        self._cells = params["cells"]
        self._seed = source.seed

    def masks(self, indices: Sequence[int]) -> torch.Tensor:
        """[n, H, W] in [0, 1]."""
        return torch.stack([self._mask(index) for index in indices])

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        mask = self.masks(indices).to(self._input)[:, None]
        return self._cover + (self._input - self._cover) * mask

    def told(
        self, indices: Sequence[int], scores: torch.Tensor, ends: Ends
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """A pixel is worth how much higher the score is where it is shown: RISE's mean over masks,
        less the mean over all, which only shifts it, so that its sign means something."""
        away = (self.masks(indices).double() - SHOWN) / (SHOWN * (1 - SHOWN))
        values = torch.einsum("n,nhw->hw", scores.double().cpu() - ends.whole, away)
        return values, torch.full((1, 1), float(len(indices)), dtype=torch.float64)

    def _mask(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng((self._seed, index))
        height, width = self._input.shape[1:]
        cell = (-(-height // self._cells), -(-width // self._cells))
        tosses = rng.random((1, 1, self._cells + 1, self._cells + 1)) < SHOWN
        large = functional.interpolate(
            torch.from_numpy(tosses).float(),
            size=((self._cells + 1) * cell[0], (self._cells + 1) * cell[1]),
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        top, left = rng.integers(0, cell[0]), rng.integers(0, cell[1])
        return large[top : top + height, left : left + width]


class SoftMasks(Series):
    params = (
        Param("samples", Integer(1, 10000), 500, "random masks"),
        Param("cells", Integer(2, 64), 7, "cells along each side of a mask"),
        baseline_param("mean"),
    )
    thinned_by = "samples"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["samples"])

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> MaskSamples:
        return MaskSamples(source, params)


SOFT_MASKS = SoftMasks()
