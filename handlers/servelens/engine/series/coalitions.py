"""The image with some of its cells shown at random, for surrogates that are fitted to the scores.

Least squares is linear in what it is fitted to. The design is drawn from the seed, so that every
share of the work knows all of it, and what each score adds to the answer before any is known.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import numpy as np
import torch

from servelens.engine.kit import Ends, Param, Series, Shape, Source
from servelens.engine.series.cells import CELL_PARAMS, LinearSamples
from servelens.protocol.shapes import Integer

SAMPLES = Param("samples", Integer(2, 10000), 300, "images with cells covered at random")
# Ridge on the fit, for designs of fewer images than cells.
RIDGE = 1e-3
# Of the cosine distance; LIME's own width for images.
WIDTH = 0.25


class RandomCells(LinearSamples):
    """Each cell shown or not by a coin's toss; nearer to the whole image counts more: LIME."""

    def __init__(self, source: Source, params: Mapping[str, Any], count: int) -> None:
        super().__init__(source, params, count)
        rng = np.random.default_rng(source.seed)
        self.design = torch.from_numpy(self.draw(rng)).double()
        self._fit: Optional[torch.Tensor] = None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 2, (self.count, self.number))

    def shown(self, indices: Sequence[int]) -> torch.Tensor:
        return self.design[list(indices)]

    def kernel(self, indices: Sequence[int]) -> torch.Tensor:
        if self._fit is None:
            self._fit = self.fit()
        return self._fit[:, list(indices)]

    def fit(self) -> torch.Tensor:
        """What each score adds to each cell's weight, for the whole design."""
        distance = 1 - (self.design.mean(dim=1)).sqrt()
        near = torch.exp(-((distance / WIDTH) ** 2))
        known = torch.cat((self.design, torch.ones(self.count, 1).double()), dim=1)
        weighted = known.T * near
        ridge = RIDGE * near.sum() * torch.eye(self.number + 1).double()
        ridge[-1, -1] = 0  # the intercept is free
        return torch.linalg.solve(weighted @ known + ridge, weighted)[:-1]


class ShapleyCells(RandomCells):
    """As many cells shown as Shapley's kernel weighs them, each draw with its complement. The fit
    is bound to add up to the difference between the whole image and the empty one."""

    def __init__(self, source: Source, params: Mapping[str, Any], count: int) -> None:
        super().__init__(source, params, count)
        self.baseline = self.cover
        inverse = torch.linalg.pinv(self.design.T @ self.design / count, hermitian=True)
        self._inverse = inverse
        self._shares = inverse.sum(dim=1) / inverse.sum()

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        sizes = np.arange(1, self.number)
        odds = 1.0 / (sizes * (self.number - sizes))
        chosen = rng.choice(sizes, (self.count + 1) // 2, p=odds / odds.sum())
        first = np.stack([rng.permutation(self.number) < size for size in chosen])
        return np.stack((first, ~first), axis=1).reshape(-1, self.number)[: self.count].astype(int)

    def fit(self) -> torch.Tensor:
        fitted = self._inverse @ self.design.T / self.count
        return fitted - self._shares[:, None] * fitted.sum(dim=0)

    def heard(self, scores: torch.Tensor, ends: Ends) -> torch.Tensor:
        assert ends.empty is not None
        return scores.double().cpu() - ends.empty

    def constant(self, ends: Ends) -> torch.Tensor:
        assert ends.empty is not None
        return self._shares * (ends.whole - ends.empty)


class Coalitions(Series):
    params = (*CELL_PARAMS, SAMPLES)
    thinned_by = "samples"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["samples"])

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> RandomCells:
        return RandomCells(source, params, params["samples"])


class ShapleyCoalitions(Coalitions):
    def scored_ends(self, params: Mapping[str, Any]) -> int:
        return 1

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> RandomCells:
        return ShapleyCells(source, params, params["samples"])


COALITIONS = Coalitions()
SHAPLEY_COALITIONS = ShapleyCoalitions()
