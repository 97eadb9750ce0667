"""What a batch is made of: each row's job, with every name resolved and every value checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

from servelens.engine.geometry import View
from servelens.engine.layers import LayerRef
from servelens.engine.methods import Method, Reads
from servelens.engine.targets import Chosen, TargetRule
from servelens.protocol import (
    Problem,
    Request,
)


@dataclass(frozen=True)
class MapAsk:
    """One method on one layer (or on the input); with a problem it is answered, but not run."""

    method: Method
    params: Mapping[str, Any]
    layer: Optional[LayerRef]
    rules: Tuple[TargetRule, ...]
    problem: Optional[Problem] = None

    @property
    def runs(self) -> bool:
        return self.problem is None

    def choose(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        return distinct(chosen for rule in self.rules for chosen in rule.choose(ranking))


@dataclass(frozen=True)
class ActivationAsk:
    """One layer whose activations are wanted; with a problem it is answered, but not recorded."""

    layer: LayerRef
    problem: Optional[Problem] = None

    @property
    def runs(self) -> bool:
        return self.problem is None


@dataclass(frozen=True)
class Job:
    """One row's work."""

    row: int
    request: Request
    view: View
    top_k: int
    rules: Tuple[TargetRule, ...]
    maps: Tuple[MapAsk, ...]
    activations: Tuple[ActivationAsk, ...]
    problems: Tuple[Problem, ...]
    preprocess_ms: float

    @property
    def is_bare(self) -> bool:
        """A prediction and nothing else, whose document needs no measuring."""
        return not self.maps and not self.activations

    @property
    def recorded(self) -> Tuple[LayerRef, ...]:
        """The layers whose activations are answered."""
        return tuple(ask.layer for ask in self.activations if ask.runs)

    @property
    def by_relevance(self) -> bool:
        """Whether channels are chosen by what they mean for the target."""
        asked = self.request.activations
        if asked is None or not self.recorded:
            return False
        return asked.sort_by == "relevance" and not isinstance(asked.channels, tuple)

    @property
    def needs_gradients(self) -> bool:
        return self.by_relevance or any(ask.runs for ask in self.maps)

    @property
    def needs_input_gradient(self) -> bool:
        return any(ask.runs and ask.method.reads & Reads.INPUT_GRADIENT for ask in self.maps)

    @property
    def depth(self) -> int:
        """How many of the most probable classes this row has to know."""
        rules = [*self.rules, *(rule for ask in self.maps for rule in ask.rules)]
        return max([self.top_k, *(rule.depth for rule in rules)])

    @property
    def most_backwards(self) -> int:
        """As many as its targets, unless some of them turn out to be the same class."""
        if not self.needs_gradients:
            return 0
        asked = [ask.rules for ask in self.maps if ask.runs]
        asked += [self.rules[:1]] if self.by_relevance else []
        return sum(rule.count for rule in distinct(rule for rules in asked for rule in rules))

    def layers(self) -> Tuple[LayerRef, ...]:
        asked = [ask.layer for ask in self.maps if ask.runs and ask.layer is not None]
        return distinct([*asked, *self.recorded])

    def targets(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        """What each of its backward passes explains, in order."""
        first = self.rules[0].choose(ranking)[:1] if self.by_relevance else ()
        asked = [chosen for ask in self.maps if ask.runs for chosen in ask.choose(ranking)]
        return distinct([*first, *asked])


def distinct(items: Any) -> Any:
    """In order, each once."""
    return tuple(dict.fromkeys(items))
