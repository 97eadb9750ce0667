"""A class's probability, to be asked for where a target's score is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch

from servelens.engine.targets import Chosen, Classes


@dataclass(frozen=True)
class Likelihood(Chosen):
    """Of a class against another it is its share of what both have."""

    classes: Optional[Classes] = None

    @classmethod
    def of(cls, chosen: Chosen, classes: Classes) -> Likelihood:
        return cls(chosen.index, chosen.versus, classes)

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        assert self.classes is not None
        rows = logits.detach().double().reshape(-1, self.classes.count)
        probabilities = self.classes.probabilities(rows)
        own = probabilities[:, self.index]
        if self.versus is not None:
            both = own + probabilities[:, self.versus]
            # Both may be too small for any float.
            own = torch.where(both > 0, own / both, torch.full_like(own, 0.5))
        return own.reshape(logits.shape[:-1])
