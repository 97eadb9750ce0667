"""How such a question is declared: what it needs of the shared pass, its cost, its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Iterator, Optional, Tuple

import torch

from servelens.engine.budget import Pace
from servelens.engine.layers import LayerRef
from servelens.protocol import Problem

if TYPE_CHECKING:
    from servelens.engine.findings import Event, Findings
    from servelens.engine.model import Model


class Further(ABC):
    """One question of one row. With a problem it is answered, but not run."""

    # Where in the document its answer stands.
    key: ClassVar[str]
    problem: Optional[Problem]

    @property
    @abstractmethod
    def layers(self) -> Tuple[LayerRef, ...]:
        """What the shared pass records for it."""

    @property
    @abstractmethod
    def passes(self) -> Tuple[int, int]:
        """Images forward and back, at most."""

    @abstractmethod
    def run(
        self, model: Model, found: Findings, image: torch.Tensor, pace: Pace, started: float
    ) -> Iterator[Event]:
        """Leaves its answer in `found.further`. `image` is the row's input [C, H, W], `started`
        when all that the row asks beyond the shared pass began."""

    @abstractmethod
    def refused(self, found: Findings, problem: Problem) -> Any:
        """The answer that says why there is none."""
