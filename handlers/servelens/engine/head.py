"""What a model does to its logits last, and the way back to them.

ServeLens explains logits, but many served models end in a softmax or a sigmoid. The module that
does it may have no name (`F.softmax` in a forward), so it is found where it happens: a watch over
torch's functions remembers what went into the call whose result is the model's output. A survey
names the kind once; at run time the same watch gives the logits of each pass, gradients intact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Dict, Optional, Tuple, Type

import torch
from torch.overrides import TorchFunctionMode

LOGITS = "logits"
_KINDS_BY_FUNCTION = {
    "softmax": "softmax",
    "special_softmax": "softmax",
    "log_softmax": "log_softmax",
    "special_log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "special_expit": "sigmoid",
}
KINDS = (LOGITS, "softmax", "log_softmax", "sigmoid")

# After these an output is still the same answer, and the same call on the logits keeps the pair.
_REARRANGING = frozenset(
    (
        "squeeze",
        "unsqueeze",
        "flatten",
        "view",
        "view_as",
        "reshape",
        "reshape_as",
        "permute",
        "transpose",
        "contiguous",
        "clone",
        "detach",
        "float",
        "double",
        "half",
        "to",
        "type",
        "type_as",
        "__getitem__",
    )
)


@dataclass(frozen=True)
class Head:
    """What the output went through last (one of KINDS) and how many classes it has."""

    kind: str
    classes: int


class HeadTap:
    """`with HeadTap(kind) as tap: out = model(x)`, then `tap.logits(out)`.

    With the kind "logits" nothing is watched and nothing costs. Without a kind every one is looked
    for, and `tap.kind_of(out)` tells which it was.
    """

    def __init__(self, kind: Optional[str] = None) -> None:
        if kind is not None and kind not in KINDS:
            raise ValueError(f"'{kind}' is no kind of head; there are {', '.join(KINDS)}")
        self.kind = kind
        self._watch = _Watch(kind)

    def __enter__(self) -> HeadTap:
        self._watch.answers.clear()
        if self.kind != LOGITS:
            self._watch.__enter__()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self.kind != LOGITS:
            self._watch.__exit__(kind, error, trace)

    def kind_of(self, output: Any) -> str:
        """The kind of head that this output came out of."""
        answer = self._watch.answers.get(id(output))
        return LOGITS if answer is None else answer.kind

    def logits(self, output: torch.Tensor) -> torch.Tensor:
        """What went into the head that this output came out of, as part of the same graph."""
        answer = self._watch.answers.get(id(output))
        if answer is not None:
            return answer.logits
        if self.kind in (None, LOGITS):
            return output
        raise RuntimeError(
            f"the model was said to end in a {self.kind}, but this output of shape "
            f"{tuple(output.shape)} did not come out of one; survey the model anew"
        )


@dataclass(frozen=True)
class _Answer:
    """A squashed tensor and what it was before. It is kept, so that its id stays its own."""

    kind: str
    squashed: torch.Tensor
    logits: torch.Tensor


class _Watch(TorchFunctionMode):
    """Remembers the input of each softmax or sigmoid whose result could be a model's answer."""

    def __init__(self, kind: Optional[str]) -> None:
        super().__init__()
        self.kind = kind
        self.answers: Dict[int, _Answer] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _KINDS_BY_FUNCTION:
            return self._squash(_KINDS_BY_FUNCTION[name], func, args, kwargs)
        result = func(*args, **kwargs)
        if name in _REARRANGING and args and id(args[0]) in self.answers:
            before = self.answers[id(args[0])]
            self._keep(before.kind, result, func(before.logits, *args[1:], **kwargs))
        return result

    def _squash(self, kind: str, func: Any, args: Tuple[Any, ...], kwargs: Any) -> Any:
        before = args[0] if args else kwargs["input"]
        in_place = func.__name__.endswith("_")
        logits = before.clone() if in_place else before
        result = func(*args, **kwargs)
        if self.kind in (None, kind) and _could_be_an_answer(result):
            self._keep(kind, result, logits)
        return result

    def _keep(self, kind: str, squashed: torch.Tensor, logits: torch.Tensor) -> None:
        self.answers[id(squashed)] = _Answer(kind, squashed, logits)


def _could_be_an_answer(tensor: torch.Tensor) -> bool:
    """Gates and attention maps have more than rows and classes; holding them would cost memory."""
    return math.prod(tensor.shape[2:]) == 1
