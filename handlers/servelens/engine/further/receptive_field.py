"""What one unit sees of the photo: by its gradient, or by covering window after window."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Iterator, List, Optional, Tuple

import torch

from servelens.engine.budget import Pace, check_time
from servelens.engine.chunks import in_chunks
from servelens.engine.features.field import (
    Averages,
    Region,
    covered,
    seen_by,
    window_and_stride,
    windows_over,
)
from servelens.engine.features.neuron import Neuron, neuron_gradient, neuron_values
from servelens.engine.findings import Event, Findings, Progress, on_cpu
from servelens.engine.further.declare import Further
from servelens.engine.layers import LayerRef
from servelens.engine.model import Model
from servelens.engine.units import cut_off, not_given
from servelens.protocol import (
    FieldRequest,
    Problem,
    ProblemError,
    ReceptiveField,
    TheoreticalField,
)


@dataclass(frozen=True)
class FieldAsk(Further):
    """`size` is the input's, (height, width); `position` None where the layer has no places."""

    key = "receptive_field"
    layer: LayerRef
    asked: FieldRequest
    position: Optional[Tuple[int, int]]
    theoretical: Optional[TheoreticalField]
    size: Tuple[int, int]
    problem: Optional[Problem] = None

    @property
    def layers(self) -> Tuple[LayerRef, ...]:
        return () if self.problem else (self.layer,)

    @property
    def passes(self) -> Tuple[int, int]:
        if self.problem:
            return 0, 0
        return (1, 1) if self.asked.mode == "gradient" else (len(self._windows()), 0)

    def run(
        self, model: Model, found: Findings, image: torch.Tensor, pace: Pace, started: float
    ) -> Iterator[Event]:
        if self.layer not in found.activations:
            raise ProblemError(not_given(self.layer))
        if self.asked.mode == "gradient":
            yield from self._by_gradient(model, found, image)
        else:
            yield from self._by_occlusion(model, found, image, pace, started)

    def refused(self, found: Findings, problem: Optional[Problem]) -> ReceptiveField:
        window, stride = self._window if self._covers else (None, None)
        ref = found.job.view.ref
        known = self.theoretical is not None and self.position is not None
        return ReceptiveField(
            layer=str(self.layer),
            channel=self.asked.channel,
            mode=self.asked.mode,
            position=self.position,
            theoretical=self.theoretical,
            box=self._region.in_photo(ref) if known and ref is not None else None,
            window=window,
            stride=stride,
            problem=problem,
        )

    def _by_gradient(self, model: Model, found: Findings, image: torch.Tensor) -> Iterator[Event]:
        value, gradient = neuron_gradient(model.explaining(self.layers), image, self._neuron(found))
        found.forwards += 1
        if gradient is None:
            raise ProblemError(cut_off("the input", of=f"this unit of {self.layer}"))
        found.backwards += 1
        self._keep(found, float(value), gradient.abs().sum(dim=0))
        yield Progress(2, self.key)

    def _by_occlusion(
        self, model: Model, found: Findings, image: torch.Tensor, pace: Pace, started: float
    ) -> Iterator[Event]:
        neuron, averages = self._neuron(found), Averages(self._region, self.size)
        row, column = neuron.position
        whole = float(found.activations[self.layer][neuron.channel, row, column])

        module = model.explaining(self.layers)

        def run(windows: List[Region]) -> List[float]:
            return neuron_values(module, covered(image, windows), neuron).tolist()

        for windows, values in in_chunks(self._windows(), pace, model.device, run):
            found.forwards += len(windows)
            averages.add(windows, [abs(whole - value) for value in values])
            yield Progress(len(windows), self.key)
            check_time((time.perf_counter() - started) * 1000, found.job.time_limit_ms)
        self._keep(found, whole, averages.map())

    def _neuron(self, found: Findings) -> Neuron:
        assert self.position is not None
        neuron = Neuron(
            self.layer.module, found.calls[self.layer], self.asked.channel, self.position
        )
        shape = found.activations[self.layer].shape
        place = (neuron.channel, *neuron.position)
        if len(shape) != 3 or any(index >= side for index, side in zip(place, shape)):
            reason = f"{self.layer} gave {list(shape)}, which has no unit {list(place)}"
            raise ProblemError(Problem("unsupported", reason, where="receptive_field"))
        return neuron

    def _keep(self, found: Findings, value: float, values: torch.Tensor) -> None:
        if not bool(torch.isfinite(values).all()) or not math.isfinite(value):
            reason = f"what moves this unit of {self.layer} is not finite on this image"
            raise ProblemError(Problem("unsupported", reason, where="receptive_field"))
        answer = replace(self.refused(found, None), value=value, map=on_cpu(values))
        found.further[self.key] = answer

    @property
    def _covers(self) -> bool:
        return self.asked.mode == "occlusion" and self.position is not None

    @property
    def _region(self) -> Region:
        assert self.position is not None
        return seen_by(self.theoretical, self.position, self.size)

    @property
    def _window(self) -> Tuple[int, int]:
        return window_and_stride(self._region, self.asked.window, self.asked.stride)

    def _windows(self) -> List[Region]:
        return windows_over(self._region, *self._window, self.size)
