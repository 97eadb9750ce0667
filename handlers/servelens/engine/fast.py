"""The same model made faster: batch norms folded into the convolutions before them.

The twin keeps the module's hierarchy, so that it can be hooked and differentiated as the module
itself; only what a folded convolution gives is no longer what the convolution gave.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, List, Tuple

import torch
from torch import nn

from servelens.engine.folding import TOLERANCE, difference, fold_norms, with_shared_weights
from servelens.engine.head import Head, HeadTap
from servelens.engine.packing import Packs
from servelens.engine.state import forward_hooks

logger = logging.getLogger(__name__)

WHOLE_MODEL = ""


class Predictor:
    """Plain predictions, in the dtype that the recipe names."""

    def __init__(self, module: nn.Module, head: Head, dtype: torch.dtype) -> None:
        self._module = module
        self._head = head
        self._dtype = dtype

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """The model's logits in float32."""
        with torch.inference_mode(), Packs(), HeadTap(self._head.kind) as tap:
            return tap.logits(self._module(batch.to(self._dtype))).float()


@dataclass(frozen=True)
class Twin:
    """A model of the same answers, and which of its layers give something else."""

    module: nn.Module
    changed: FrozenSet[str] = frozenset()


def folded(module: nn.Module, example: torch.Tensor) -> Twin:
    """The twin; the module is its own where folding cannot be done or would change the answers.
    Judged on the CPU, where float32 is exact."""
    try:
        twin = with_shared_weights(module)
        fold_norms(twin)
        changed = _changed(module, twin, example)
        if WHOLE_MODEL not in changed:
            return Twin(twin, changed)
        logger.info("batch norms stay: folding them would change the answers")
    except Exception as error:  # a model that cannot be traced can fail in any way
        logger.info("batch norms stay: the model cannot be traced (%s)", error)
    return Twin(module)


def _changed(module: nn.Module, twin: nn.Module, example: torch.Tensor) -> FrozenSet[str]:
    """The layers that do not give in the twin what they give in the module: convolutions that a
    norm was folded into, and whatever hands on what such a one gave."""
    noise = torch.randn((2, *example.shape[1:]), generator=torch.Generator().manual_seed(1))
    before, after = _outputs(module, noise), _outputs(twin, noise)
    return frozenset(name for name in before if not _all_alike(before[name], after[name]))


def _outputs(module: nn.Module, batch: torch.Tensor) -> Dict[str, List[torch.Tensor]]:
    """What each layer gave in each of its calls, before anything in place changed it."""
    given: Dict[str, List[torch.Tensor]] = {name: [] for name, _ in module.named_modules()}

    def keep(kept: List[torch.Tensor]) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Tuple[Any, ...], output: Any) -> None:
            if isinstance(output, torch.Tensor):
                kept.append(output.clone())

        return hook

    with torch.inference_mode(), forward_hooks(module, {n: keep(k) for n, k in given.items()}):
        module(batch.clone())
    return given


def _all_alike(before: List[torch.Tensor], after: List[torch.Tensor]) -> bool:
    return len(before) == len(after) and all(map(_alike, before, after))


def _alike(before: torch.Tensor, after: torch.Tensor) -> bool:
    if before.shape != after.shape:
        return False
    if not before.is_floating_point():
        return torch.equal(before, after)
    return difference(before, after) <= TOLERANCE
