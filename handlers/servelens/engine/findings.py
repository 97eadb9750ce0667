"""What the passes have found for one job, and what is told of it while they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np
import torch

from servelens.engine.jobs import Job
from servelens.engine.layers import LayerRef
from servelens.engine.targets import Chosen
from servelens.protocol import Prediction, Problem


@dataclass(frozen=True)
class FoundMap:
    values: np.ndarray
    signed: bool


@dataclass
class Findings:
    """What the passes have found so far for one job."""

    job: Job
    ranked: Sequence[Prediction]
    targets: Tuple[Chosen, ...] = ()
    activations: Dict[LayerRef, torch.Tensor] = field(default_factory=dict)
    relevance: Dict[LayerRef, torch.Tensor] = field(default_factory=dict)
    maps: Dict[Tuple[int, Chosen], FoundMap] = field(default_factory=dict)
    troubles: Dict[Tuple[int, Chosen], Problem] = field(default_factory=dict)
    compute_ms: float = 0.0

    @property
    def ranking(self) -> List[int]:
        return [prediction.index for prediction in self.ranked]


@dataclass(frozen=True)
class Progress:
    """Passes done, of those that the chunk needs."""

    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Partial:
    """A map that is ready before its document is: the ask it answers, and for which target."""

    findings: Findings
    ask: int
    chosen: Chosen


@dataclass(frozen=True)
class Finished:
    job: Job
    outcome: Union[Findings, Problem]


Event = Union[Progress, Partial, Finished]
