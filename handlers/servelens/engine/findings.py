"""What the passes have found for one job, and what is told of it while they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from servelens.engine.jobs import Job
from servelens.engine.kit import Map
from servelens.engine.layers import LayerRef
from servelens.engine.targets import Chosen
from servelens.protocol import Prediction, Problem, TrustCard


@dataclass(frozen=True)
class FoundMap:
    """`weight` comes with a share of the work; `delta`, with methods that promise to add up, is by
    how much the sum is above what it should be."""

    values: np.ndarray
    signed: bool
    weight: Optional[np.ndarray] = None
    delta: Optional[float] = None


@dataclass
class Findings:
    """What the passes have found so far for one job."""

    job: Job
    ranked: Sequence[Prediction]
    logits: torch.Tensor
    targets: Tuple[Chosen, ...] = ()
    activations: Dict[LayerRef, torch.Tensor] = field(default_factory=dict)
    calls: Dict[LayerRef, int] = field(default_factory=dict)
    relevance: Dict[LayerRef, torch.Tensor] = field(default_factory=dict)
    maps: Dict[Tuple[int, Chosen], FoundMap] = field(default_factory=dict)
    troubles: Dict[Tuple[int, Chosen], Problem] = field(default_factory=dict)
    cards: Dict[Tuple[int, Chosen], TrustCard] = field(default_factory=dict)
    # Answers to what is asked beside maps, by their keys in the document.
    further: Dict[str, Any] = field(default_factory=dict)
    forwards: int = 1
    backwards: int = 0
    compute_ms: float = 0.0

    def keep(self, ask: int, chosen: Chosen, found: Map) -> None:
        """The map, or the trouble that it is not finite."""
        values = on_cpu(found.values)
        key = (ask, chosen)
        if np.isfinite(values).all():
            weight = None if found.weight is None else on_cpu(found.weight)
            self.maps[key] = FoundMap(values, found.signed, weight, found.delta)
        else:
            self.maps.pop(key, None)
            name = self.job.maps[ask].method.name
            self.troubles[key] = Problem("unsupported", f"{name} is not finite on this image")

    @property
    def ranking(self) -> List[int]:
        return [prediction.index for prediction in self.ranked]


def on_cpu(values: torch.Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().float().cpu().numpy()
    return array


@dataclass(frozen=True)
class Progress:
    """Images that went through the model, forward or back, since the last one."""

    passes: int
    text: str


@dataclass(frozen=True)
class Partial:
    """A map that is ready before its document is: the ask it answers, and for which target."""

    findings: Findings
    ask: int
    chosen: Chosen

    @property
    def is_map(self) -> bool:
        """And no ranking of channels, which comes with the document alone."""
        return self.findings.job.maps[self.ask].ranks is None


@dataclass(frozen=True)
class Finished:
    job: Job
    outcome: Union[Findings, Problem]


Event = Union[Progress, Partial, Finished]
