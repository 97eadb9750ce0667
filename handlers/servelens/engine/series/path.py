"""The straight line from a baseline to the image, in steps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from servelens.engine.kit import Param, Samples, Series, Shape, Source, baseline_of, baseline_param
from servelens.protocol.shapes import Choice, Integer

RULES = ("gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_middle", "riemann_right")


class PathSamples(Samples):
    """Image i lies at `alphas[i]` of the way and counts `weights[i]` in an integral over it."""

    baseline: torch.Tensor

    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self.baseline = baseline_of(params["baseline"], source)
        self.way = source.input - self.baseline
        self.alphas, self.weights = quadrature(params["quadrature"], params["steps"])

    def share_of_way(self, indices: Sequence[int]) -> float:
        """Of all steps together 1, also where their weights are less, as the trapezoid's are."""
        return sum(self.weights[index] for index in indices) / sum(self.weights)

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        return self.baseline + self.way * self.at(self.alphas, indices, self.way.dim() + 1)

    def at(
        self, numbers: Tuple[float, ...], indices: Sequence[int], dimensions: int
    ) -> torch.Tensor:
        """The numbers of these images, shaped to multiply what has so many dimensions."""
        chosen = self.way.new_tensor([numbers[i] for i in indices])
        return chosen.view(-1, *[1] * (dimensions - 1))


class Path(Series):
    params = (
        baseline_param("black"),
        Param("steps", Integer(2, 1000), 50, "places on the way from the baseline to the image"),
        Param("quadrature", Choice(RULES), "gausslegendre", "where they lie and what each counts"),
    )
    thinned_by = "steps"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["steps"])

    def scored_ends(self, params: Mapping[str, Any]) -> int:
        return 1

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> PathSamples:
        return PathSamples(source, params)


@lru_cache(maxsize=64)
def quadrature(rule: str, steps: int) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Places in [0, 1] and their weights, as Captum has them under the same names."""
    if rule == "gausslegendre":
        places, weights = np.polynomial.legendre.leggauss(steps)
        return tuple((1 + places) / 2), tuple(weights / 2)
    first, last = {
        "riemann_trapezoid": (0.0, 1.0),
        "riemann_left": (0.0, 1 - 1 / steps),
        "riemann_middle": (1 / (2 * steps), 1 - 1 / (2 * steps)),
        "riemann_right": (1 / steps, 1.0),
    }[rule]
    weights = np.full(steps, 1 / steps)
    if rule == "riemann_trapezoid":
        weights[[0, -1]] /= 2
    return tuple(np.linspace(first, last, steps)), tuple(weights)


PATH = Path()
