"""The image divided into cells, some of them shown and the others covered.

Cells are those of a grid, or segments that the caller has drawn.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

import torch

from servelens.engine.kit import Ends, Param, Samples, Shape, Source, baseline_of, baseline_param
from servelens.protocol.shapes import Integer, Png

GRID = Param("grid", Integer(2, 32), 7, "cells along each side of the image")
SEGMENTS = Param(
    "segments",
    Png(),
    None,
    "segments in place of the grid: a PNG of the photo's size, each value in it one segment",
)
CELL_PARAMS = (GRID, SEGMENTS, baseline_param("mean"))


def number_of_cells(params: Mapping[str, Any]) -> int:
    drawn = params["segments"]
    return int(params["grid"]) ** 2 if drawn is None else int(drawn.count)


def cells_of(image: Shape, grid: int) -> torch.Tensor:
    """[H, W], which cell of a grid each pixel lies in, counted row by row."""
    rows, columns = (torch.arange(side) * grid // side for side in image[1:])
    return rows[:, None] * grid + columns[None, :]


class CellSamples(Samples):
    """Images of which `shown` says which cells are to be seen, and `told` what a score means."""

    def __init__(self, source: Source, params: Mapping[str, Any], count: int) -> None:
        self.count = count
        self.number = number_of_cells(params)
        drawn = params["segments"]
        if drawn is None:
            self.cells = cells_of(source.input.shape, params["grid"])
        else:
            self.cells = torch.from_numpy(drawn.of)
        self.cover = baseline_of(params["baseline"], source)
        self._input = source.input

    def shown(self, indices: Sequence[int]) -> torch.Tensor:
        """[n, cells] of 0 and 1."""
        raise NotImplementedError

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        mask = self.shown(indices)[:, self.cells].to(self._input)[:, None]
        return self.cover + (self._input - self.cover) * mask

    def spread(self, per_cell: torch.Tensor) -> torch.Tensor:
        """[cells] as [H, W]."""
        return per_cell[self.cells]


class LinearSamples(CellSamples):
    """Each cell is worth a weighted sum of all scores, whose weights are known beforehand: so that
    any share of the images tells its share of the sum, and the shares add up."""

    def kernel(self, indices: Sequence[int]) -> torch.Tensor:
        """What each of these images' scores adds to each cell, [cells, n] in double."""
        raise NotImplementedError

    def constant(self, ends: Ends) -> torch.Tensor:
        """[cells], of what is known without any image."""
        return torch.zeros(self.number, dtype=torch.float64)

    def told(
        self, indices: Sequence[int], scores: torch.Tensor, ends: Ends
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        known = self.constant(ends) * (len(indices) / self.count)
        per_cell = self.kernel(indices) @ self.heard(scores, ends) + known
        weight = torch.full((1, 1), len(indices) / self.count, dtype=torch.float64)
        return self.spread(per_cell), weight

    def heard(self, scores: torch.Tensor, ends: Ends) -> torch.Tensor:
        """What the fit is made to. It does not ask where zero lies: near the scores, so that shares
        of the sum are no larger than the sum."""
        return scores.double().cpu() - ends.whole
