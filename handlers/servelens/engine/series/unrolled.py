"""What runs on the model unrolled: an image beside its baselines, or the image alone."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import torch
from torch import nn

from servelens.engine.kit import (
    Param,
    Propagation,
    Shape,
    Source,
    UnrolledSamples,
    UnrolledSeries,
    baseline_of,
    baseline_param,
)
from servelens.engine.relevance import Relevance, deep_lift, lrp
from servelens.engine.series.noise import drawn
from servelens.protocol.shapes import Integer, Number


class Baselines(UnrolledSamples):
    """A baseline, each time under other noise where there is a deviation."""

    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._input = source.input
        self._seed = source.seed
        self._from = baseline_of(params["baseline"], source)
        spread = source.input.max() - source.input.min()
        self._deviation = params.get("noise", 0.0) * spread

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        noise = torch.stack([drawn(self._seed, i, self._input.shape) for i in indices])
        return self._from + noise.to(self._input.device) * self._deviation

    def relevance(
        self, unrolled: nn.Module, indices: Sequence[int], weights: torch.Tensor
    ) -> Relevance:
        baselines = self.inputs(indices)
        images = self._input.expand_as(baselines)
        return deep_lift(unrolled, images, baselines, weights.expand(len(indices), -1))


class AgainstBaselines(UnrolledSeries):
    propagation = Propagation.DEEP_LIFT
    each = (2, 2)

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> Baselines:
        return Baselines(source, params)


class OneBaseline(AgainstBaselines):
    params = (baseline_param("black"),)

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return 1


class NoisyBaselines(AgainstBaselines):
    params = (
        baseline_param("black"),
        Param("samples", Integer(1, 1000), 10, "baselines, each under noise of its own"),
        Param("noise", Number(0, 1), 0.09, "its deviation, as a share of the image's range"),
    )
    thinned_by = "samples"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["samples"])


class Itself(UnrolledSamples):
    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._input = source.input
        self._epsilon = params["epsilon"]

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        return self._input[None]

    def relevance(
        self, unrolled: nn.Module, indices: Sequence[int], weights: torch.Tensor
    ) -> Relevance:
        return lrp(unrolled, self._input[None], weights, epsilon=self._epsilon)


class ImageAlone(UnrolledSeries):
    propagation = Propagation.LRP
    each = (2, 1)
    params = (
        Param(
            "epsilon",
            Number(0, 10),
            0.25,
            "how weak a contribution is dropped, as a share of what each layer typically gives",
        ),
    )

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return 1

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> Itself:
        return Itself(source, params)


ONE_BASELINE = OneBaseline()
NOISY_BASELINES = NoisyBaselines()
IMAGE_ALONE = ImageAlone()
