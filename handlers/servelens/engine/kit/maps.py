"""What a method gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch


@dataclass(frozen=True)
class Map:
    """Values, and whether their sign means something.

    Of a method that reads the shared pass [N, ...], of a tally one row's. `weight` comes with a
    share of the work: values of all shares, summed, are divided by their weights, summed. `delta`
    is by how much the map fails to add up, for methods that promise that it does.
    """

    values: torch.Tensor
    signed: bool
    weight: Optional[torch.Tensor] = None
    delta: Optional[float] = None
