"""The image with one of its cells covered, for each of them."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import torch

from servelens.engine.kit import Ends, Series, Shape, Source
from servelens.engine.series.cells import CELL_PARAMS, CellSamples, number_of_cells


class SingleCellSamples(CellSamples):
    def shown(self, indices: Sequence[int]) -> torch.Tensor:
        return 1 - torch.eye(self.number)[list(indices)]

    def told(
        self, indices: Sequence[int], scores: torch.Tensor, ends: Ends
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Each cell is worth what the score lost when it was covered."""
        lost, covered = torch.zeros(2, self.number, dtype=torch.float64)
        lost[list(indices)] = ends.whole - scores.double().cpu()
        covered[list(indices)] = 1
        return self.spread(lost), self.spread(covered)


class SingleCells(Series):
    params = CELL_PARAMS
    thinned_by = "grid"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return number_of_cells(params)

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> SingleCellSamples:
        return SingleCellSamples(source, params, self.count(params, source.input.shape, None))

    def thin(
        self, params: Mapping[str, Any], most: int, image: Shape, layer: Optional[Shape]
    ) -> Optional[Dict[str, Any]]:
        """A coarser grid; what the caller has drawn has no coarser version."""
        return super().thin(params, most, image, layer) if params["segments"] is None else None


SINGLE_CELLS = SingleCells()
