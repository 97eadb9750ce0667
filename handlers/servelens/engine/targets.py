"""Which class a caller means, before the pass that tells what was predicted and after it.

A rule is what is known beforehand: a class, a rank, or a difference of two. After the forward
pass each rule chooses its classes for a row, and what it chose is what a backward pass explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch

from servelens.engine.folder.card import OutputSpec
from servelens.engine.head import LOGITS, Head
from servelens.protocol import (
    ClassRef,
    Prediction,
    TargetRef,
    TargetValue,
    did_you_mean,
    problem,
    shorten,
)


@dataclass(frozen=True)
class Chosen:
    """One class, or the difference of two, in the logits of one row."""

    index: int
    versus: Optional[int] = None

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """Of [..., classes]."""
        own = logits[..., self.index]
        return own if self.versus is None else own - logits[..., self.versus]


@dataclass(frozen=True)
class ByIndex:
    index: int
    count = 1
    depth = 0

    def choose(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        return (Chosen(self.index),)


@dataclass(frozen=True)
class ByRank:
    """The `count` most probable classes; 'predicted' is the first."""

    count: int = 1

    @property
    def depth(self) -> int:
        """How far down the ranking it looks."""
        return self.count

    def choose(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        return tuple(Chosen(index) for index in ranking[: self.count])


@dataclass(frozen=True)
class Difference:
    first: Union[ByIndex, ByRank]
    second: Union[ByIndex, ByRank]
    count = 1

    @property
    def depth(self) -> int:
        return max(self.first.depth, self.second.depth)

    def choose(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        (first,), (second,) = self.first.choose(ranking), self.second.choose(ranking)
        return (Chosen(first.index, second.index),)


@dataclass(frozen=True)
class Settled:
    """What was chosen before, whichever classes are the most probable now."""

    chosen: Chosen
    count = 1
    depth = 0

    def choose(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        return (self.chosen,)


TargetRule = Union[ByIndex, ByRank, Difference, Settled]


class Classes:
    """The model's classes: their names, how to find one, and how to read the model's logits."""

    def __init__(self, head: Head, spec: OutputSpec) -> None:
        self.single_logit = head.classes == 1
        self.count = 2 if self.single_logit else head.classes
        self.labels = spec.labels or tuple(str(i) for i in range(self.count))
        # A model that ends in an activation of its own has settled what its answer means.
        self.activation = head.kind.replace("log_", "") if head.kind != LOGITS else spec.activation
        self._indices: Dict[str, List[int]] = {}
        for index, label in enumerate(self.labels):
            self._indices.setdefault(label, []).append(index)

    @property
    def are_probable(self) -> bool:
        """Whether what is answered for them are probabilities, from 0 to 1."""
        return self.single_logit or self.activation != "none"

    def logits(self, output: torch.Tensor) -> torch.Tensor:
        """[N, count]; a single logit speaks for class 1, its negative for class 0."""
        return torch.cat((-output, output), dim=1) if self.single_logit else output

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        if self.single_logit or self.activation == "sigmoid":
            return torch.sigmoid(logits)
        return logits if self.activation == "none" else torch.softmax(logits, dim=1)

    def ranked(self, logits: torch.Tensor, depth: int) -> List[Tuple[Prediction, ...]]:
        """For each row its `depth` most probable classes."""
        probabilities, indices = torch.topk(self.probabilities(logits), depth, dim=1)
        rows = zip(
            indices.tolist(), probabilities.tolist(), torch.gather(logits, 1, indices).tolist()
        )
        return [
            tuple(Prediction(i, self.labels[i], p, logit) for i, p, logit in zip(*row))
            for row in rows
        ]

    def rules(self, values: Sequence[TargetValue], where: str) -> Tuple[TargetRule, ...]:
        """Of several targets, each with its place where it is not the only one."""
        return tuple(
            self.rule(value, where if len(values) == 1 else f"{where}[{index}]")
            for index, value in enumerate(values)
        )

    def rule(self, value: TargetValue, where: str) -> TargetRule:
        if isinstance(value, int):
            return ByIndex(self._checked(value, where))
        if isinstance(value, str):
            return self._by_name(value, where)
        first = self.rule(value["class"], f"{where}.class")
        second = self.rule(value["versus"], f"{where}.versus")
        for side, name in ((first, "class"), (second, "versus")):
            if not isinstance(side, (ByIndex, ByRank)) or side.count != 1:
                place = f"{where}.{name}"
                raise problem("bad_value", f"{place} must be one class", where=place)
        assert isinstance(first, (ByIndex, ByRank)) and isinstance(second, (ByIndex, ByRank))
        return Difference(first, second)

    def ref(self, chosen: Chosen) -> TargetRef:
        versus = chosen.versus
        other = None if versus is None else ClassRef(versus, self.labels[versus])
        return TargetRef(chosen.index, self.labels[chosen.index], other)

    def _by_name(self, name: str, where: str) -> Union[ByIndex, ByRank]:
        """Labels come first, then the reserved words, then a decimal index."""
        indices = self._indices.get(name, [])
        if len(indices) > 1:
            listed = ", ".join(map(str, indices))
            raise problem(
                "ambiguous_class",
                f"{shorten(name)} is the label of several classes: {listed}",
                hint="give the index of the one you mean",
                where=where,
            )
        if indices:
            return ByIndex(indices[0])
        if name == "predicted":
            return ByRank()
        kind, _, digits = name.partition(":")
        if kind == "top" and _is_decimal(digits):
            return ByRank(self._rank(int(digits), where))
        if _is_decimal(name):
            return ByIndex(self._checked(int(name), where))
        raise problem(
            "unknown_class",
            f"{shorten(name)} is no class of this model",
            hint=did_you_mean(name, self.labels),
            where=where,
        )

    def _rank(self, rank: int, where: str) -> int:
        if not 1 <= rank <= self.count:
            raise problem(
                "bad_value", f"top:n needs n from 1 to {self.count}, not {rank}", where=where
            )
        return rank

    def _checked(self, index: int, where: str) -> int:
        if not 0 <= index < self.count:
            raise problem(
                "unknown_class",
                f"{shorten(index)} is no class of this model",
                hint=f"classes are 0 to {self.count - 1}",
                where=where,
            )
        return index


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
