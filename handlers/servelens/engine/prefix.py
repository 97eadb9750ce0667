"""What lies before a layer, run once for many values that are put in the layer's place.

Silencing each of 512 channels of the last layer makes 512 passes that differ in what comes behind
it alone. Given one image, and in the layer's place values of many rows, most models run through:
behind the layer there are as many rows as values, and what comes in from beside it, as a skip
connection does, has its one row for all of them.
"""

from __future__ import annotations

from typing import Dict, Tuple

import torch
from torch import nn

from servelens.engine.budget import is_out_of_memory
from servelens.engine.head import Head
from servelens.engine.tape import Replaced, record

ROWS = 3
# Of the largest logit: what rounding makes of a pass in a batch of another size.
SAME = 1e-4


class Prefixes:
    """Tells for each layer of one model whether that works. It can join rows that do not match, or
    count them where they come in; so it is tried, once a layer, against the pass of all rows."""

    def __init__(self) -> None:
        self._verdicts: Dict[Tuple[str, int], bool] = {}

    def run_once(
        self, module: nn.Module, head: Head, image: torch.Tensor, replaced: Replaced
    ) -> bool:
        """Whether one image [1, C, H, W] does for all values that take the layer's place."""
        layer = (replaced.module, replaced.call)
        if layer not in self._verdicts:
            try:
                self._verdicts[layer] = _agrees(module, head, image, _probes(replaced))
            except Exception as error:
                if is_out_of_memory(error):
                    return False  # now; another time there may be room to find out
                self._verdicts[layer] = False
        return self._verdicts[layer]


def _agrees(module: nn.Module, head: Head, image: torch.Tensor, probes: Replaced) -> bool:
    once = record(module, head, image, replaced=probes).output
    each = record(module, head, image.expand(ROWS, -1, -1, -1), replaced=probes).output
    if once.shape != each.shape or bool((each[1:] == each[:1]).all()):
        return False
    return bool((once - each).abs().max() <= SAME * each.abs().max())


def _probes(replaced: Replaced) -> Replaced:
    """Rows that no model takes for each other."""
    noise = torch.Generator().manual_seed(0)
    values = torch.randn((ROWS, *replaced.values.shape[1:]), generator=noise)
    return Replaced(replaced.module, replaced.call, values.to(replaced.values))
