"""The image's cells shown one after the other, in random orders."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import numpy as np
import torch

from servelens.engine.kit import Ends, Param, Series, Shape, Source
from servelens.engine.series.cells import CELL_PARAMS, LinearSamples, number_of_cells
from servelens.protocol.shapes import Integer


class OrderSamples(LinearSamples):
    """Image j of an order shows its first j + 1 cells. A cell is worth, on average, what the score
    gained when it came; the first gained on the empty image, the last up to the whole one.

    Scores are heard as what they lack to the whole image's, so that for the last nothing is added.
    """

    def __init__(self, source: Source, params: Mapping[str, Any], count: int) -> None:
        super().__init__(source, params, count)
        self.baseline = self.cover
        rng = np.random.default_rng(source.seed)
        self.orders = np.stack([rng.permutation(self.number) for _ in range(params["orders"])])

    def shown(self, indices: Sequence[int]) -> torch.Tensor:
        shown = torch.zeros(len(indices), self.number)
        for row, index in zip(shown, indices):
            order, step = divmod(index, self.number - 1)
            row[self.orders[order][: step + 1]] = 1
        return shown

    def kernel(self, indices: Sequence[int]) -> torch.Tensor:
        kernel = torch.zeros(self.number, len(indices), dtype=torch.float64)
        for column, index in enumerate(indices):
            order, step = divmod(index, self.number - 1)
            kernel[self.orders[order][step], column] += 1
            kernel[self.orders[order][step + 1], column] -= 1
        return kernel / len(self.orders)

    def constant(self, ends: Ends) -> torch.Tensor:
        assert ends.empty is not None
        first = np.bincount(self.orders[:, 0], minlength=self.number)
        return torch.from_numpy(first * (ends.whole - ends.empty) / len(self.orders))


class Orders(Series):
    params = (*CELL_PARAMS, Param("orders", Integer(1, 1000), 10, "random orders of the cells"))
    thinned_by = "orders"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["orders"]) * (number_of_cells(params) - 1)

    def scored_ends(self, params: Mapping[str, Any]) -> int:
        return 1

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> OrderSamples:
        return OrderSamples(source, params, self.count(params, source.input.shape, None))


ORDERS = Orders()
