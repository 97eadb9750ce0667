"""ReLUs whose way back can be changed: guided backpropagation and the deconvolutional network.

Both are the plain backward pass but for one rule at each rectifier. A watch over torch's functions
puts a ReLU of our own in the place of each, whether a module or a function called it, so that the
same forward pass serves plain gradients and both rules.
"""

from __future__ import annotations

import enum
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Tuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Rule(enum.Enum):
    """What a rectifier lets pass on the way back."""

    GUIDED = "guided"
    DECONVOLVED = "deconvolved"


class RectifierCount(TorchFunctionMode):
    """How many ReLUs run, for a look that must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.count += func in _RELUS
        return func(*args, **(kwargs or {}))


class Rectifiers(TorchFunctionMode):
    """`with Rectifiers() as rectifiers: y = model(x)`, then `with rectifiers.under(rule): ...`."""

    def __init__(self) -> None:
        super().__init__()
        self.rule: Optional[Rule] = None

    @contextmanager
    def under(self, rule: Optional[Rule]) -> Iterator[None]:
        """Backward passes inside follow the rule; None is the plain one."""
        self.rule = rule
        try:
            yield
        finally:
            self.rule = None

    def __torch_function__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _RELUS:
            return func(*args, **kwargs)
        (given, *rest) = args or (kwargs["input"],)
        in_place = func in _IN_PLACE or bool(rest[0] if rest else kwargs.get("inplace", False))
        return _Rectify.apply(given, self, in_place)


_IN_PLACE = frozenset((torch.relu_, functional.relu_, torch.Tensor.relu_))
_RELUS = _IN_PLACE | {torch.relu, functional.relu, torch.Tensor.relu}


class _Rectify(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, given: torch.Tensor, rectifiers: Rectifiers, in_place: bool
    ) -> torch.Tensor:
        ctx.rectifiers = rectifiers
        if in_place:
            ctx.mark_dirty(given)
        rectified = given.relu_() if in_place else given.relu()
        ctx.save_for_backward(rectified)
        return rectified

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        (gradient,) = gradients
        (rectified,) = ctx.saved_tensors
        rule = ctx.rectifiers.rule
        if rule is not None:
            gradient = gradient.clamp(min=0)
        if rule is not Rule.DECONVOLVED:
            gradient = gradient * (rectified > 0)
        return gradient, None, None
