"""The row's predictions with channels silenced, levelled or scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Iterator, Optional, Tuple

import torch

from servelens.engine.budget import Pace
from servelens.engine.features.ablation import Edit, ablated
from servelens.engine.findings import Event, Findings, Progress
from servelens.engine.further.declare import Further
from servelens.engine.layers import LayerRef
from servelens.engine.model import Model
from servelens.engine.tape import record
from servelens.engine.units import not_given
from servelens.protocol import Ablation, Problem, ProblemError


@dataclass(frozen=True)
class AblationAsk(Further):
    """All edits together, in one more forward pass. A layer's own name means its last call, which
    is known once the shared pass has run."""

    key = "ablation"
    edits: Tuple[Tuple[LayerRef, Edit], ...]
    problem: Optional[Problem] = None

    @property
    def layers(self) -> Tuple[LayerRef, ...]:
        return () if self.problem else tuple(dict.fromkeys(layer for layer, _ in self.edits))

    @property
    def passes(self) -> Tuple[int, int]:
        return (0 if self.problem else 1), 0

    def run(
        self, model: Model, found: Findings, image: torch.Tensor, pace: Pace, started: float
    ) -> Iterator[Event]:
        edits = [_placed(edit, layer, found) for layer, edit in self.edits]
        with ablated(model.explaining(self.layers), edits) as module:
            output = record(module, model.head, image[None]).output
        found.forwards += 1
        logits = model.classes.logits(output.float())
        (after,) = model.classes.ranked(logits, found.job.top_k)
        if not all(math.isfinite(p.logit) and math.isfinite(p.probability) for p in after):
            reason = "with these channels changed the model's answer is not a finite number"
            raise ProblemError(Problem("unsupported", reason, where="ablate"))
        found.further[self.key] = replace(self.refused(found, None), after=after)
        yield Progress(1, "ablation")

    def refused(self, found: Findings, problem: Optional[Problem]) -> Ablation:
        return Ablation(before=tuple(found.ranked[: found.job.top_k]), problem=problem)


def _placed(edit: Edit, layer: LayerRef, found: Findings) -> Edit:
    """The edit of the one call that is meant, which may give other channels than the last."""
    values = found.activations.get(layer)
    if values is None:
        raise ProblemError(not_given(layer))
    if any(channel >= len(values) for channel in edit.channels or ()):
        reason = f"{layer} gave {len(values)} channels, fewer than were named"
        raise ProblemError(Problem("unsupported", reason, where="ablate"))
    return replace(edit, call=found.calls[layer])
