"""The model for rows that only predict: the same answers, made faster, with nothing to hook."""

from __future__ import annotations

import copy
import logging

import torch
from torch import nn

from servelens.engine.folding import TOLERANCE, difference, fold_norms
from servelens.engine.head import Head, HeadTap

logger = logging.getLogger(__name__)


class Predictor:
    """Plain predictions, in the dtype that the recipe names."""

    def __init__(self, module: nn.Module, head: Head, dtype: torch.dtype) -> None:
        self._module = module.to(dtype)
        self._head = head
        self._dtype = dtype

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """The model's logits in float32."""
        with torch.inference_mode(), HeadTap(self._head.kind) as tap:
            return tap.logits(self._module(batch.to(self._dtype))).float()


def folded(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy with batch norms folded into the convolutions before them, or an unchanged one where
    that cannot be done or would change the answers. Judged on the CPU, where float32 is exact."""
    try:
        candidate = copy.deepcopy(module)
        fold_norms(candidate)
        if all(_answers_agree(module, candidate, example, rows) for rows in (1, 3)):
            return candidate
        logger.info("predictions run unfolded: folding batch norms would change the answers")
    except Exception as error:  # a model that cannot be traced can fail in any way
        logger.info("predictions run unfolded: the model cannot be traced (%s)", error)
    return copy.deepcopy(module)


def _answers_agree(
    module: nn.Module, candidate: nn.Module, example: torch.Tensor, rows: int
) -> bool:
    noise = torch.Generator().manual_seed(rows)
    batch = torch.randn((rows, *example.shape[1:]), generator=noise)
    with torch.inference_mode():
        before, after = module(batch), candidate(batch)
    return difference(before, after) <= TOLERANCE
