"""The models that relevance is propagated through: whether there is one, and it made once.

Unrolling takes seconds, so that it is tried when an archive is built, and done again in a worker
only when somebody asks for what needs it.
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from typing import Callable, Dict, Iterable, Mapping, Optional, Union

import torch
from torch import nn

from servelens.engine.head import Head
from servelens.engine.kit import Propagation
from servelens.engine.soundness import judge_deep_lift, judge_lrp
from servelens.engine.unrolled import NotUnrolledError, unroll

LONGEST_REASON = 300
_JUDGES: Mapping[Propagation, Callable[[nn.Module, torch.Tensor], Optional[str]]] = {
    Propagation.DEEP_LIFT: judge_deep_lift,
    Propagation.LRP: judge_lrp,
}


class Unrolled:
    """A model's unrolled ones, each made once; one that cannot be made is not tried again."""

    def __init__(self, module: nn.Module, head: Head, example: torch.Tensor) -> None:
        self._of = (module, head, example)
        self._made: Dict[Propagation, Union[nn.Module, NotUnrolledError]] = {}

    def make(self, propagations: Iterable[Propagation]) -> None:
        """Ahead of their use, which is where an error is raised."""
        for propagation in propagations:
            with suppress(Exception):
                self.by(propagation)

    def by(self, propagation: Propagation) -> nn.Module:
        if propagation not in self._made:
            try:
                self._made[propagation] = _unroll(propagation, *self._of)
            except NotUnrolledError as error:
                self._made[propagation] = error
        made = self._made[propagation]
        if isinstance(made, NotUnrolledError):
            raise made
        return made


def why_not(
    propagation: Propagation, module: nn.Module, head: Head, example: torch.Tensor
) -> Optional[str]:
    """Why relevance cannot be propagated through this model, or would not add up; else None."""
    if not captum_is_there():
        return f"{propagation.value} is computed by Captum, which is not installed here"
    try:
        model = _unroll(propagation, module, head, example)
    except NotUnrolledError as error:
        return _in_short(f"{propagation.value} needs the model unrolled, but {error}")
    except Exception as error:  # a module that cannot be copied can fail in any way
        kind = type(error).__name__
        return _in_short(f"{propagation.value} needs a copy of the model ({kind}: {error})")
    reason = _JUDGES[propagation](model, example)
    return None if reason is None else _in_short(reason)


def _unroll(
    propagation: Propagation, module: nn.Module, head: Head, example: torch.Tensor
) -> nn.Module:
    return unroll(module, head, example, for_lrp=propagation is Propagation.LRP)


def captum_is_there() -> bool:
    """It is imported only where it runs: that takes a second."""
    return importlib.util.find_spec("captum") is not None


def _in_short(reason: str) -> str:
    """One line: an error's own words may be many."""
    line = " ".join(reason.split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"
