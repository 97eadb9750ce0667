"""What a batch is made of: each row's job, with every name resolved and every value checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from servelens.engine.budget import PATIENCE
from servelens.engine.features.weights import LearnedWeights
from servelens.engine.further.declare import Further
from servelens.engine.geometry import View
from servelens.engine.kit import Method, Reads, Shape
from servelens.engine.layers import LayerRef
from servelens.engine.targets import Chosen, TargetRule
from servelens.protocol import (
    Problem,
    Request,
)

PLAIN = Reads.LAYER_GRADIENT | Reads.INPUT_GRADIENT
# Each of these is a backward pass of its own on the shared forward.
WAYS_BACK = (PLAIN, Reads.GUIDED_GRADIENT, Reads.DECONVOLVED_GRADIENT)


@dataclass(frozen=True)
class MapAsk:
    """One method on one layer (or on the input); with a problem it is answered, but not run."""

    method: Method
    params: Mapping[str, Any]
    layer: Optional[LayerRef]
    rules: Tuple[TargetRule, ...]
    layer_shape: Optional[Shape] = None
    problem: Optional[Problem] = None
    # What a budget has lowered: the caller's own values.
    coarsened: Optional[Mapping[str, Any]] = None
    # The mode, where what it gives is no map but a number for each of the layer's channels.
    ranks: Optional[str] = None

    @property
    def runs(self) -> bool:
        return self.problem is None

    @property
    def shares(self) -> bool:
        """Whether it is answered by the pass that the whole request shares."""
        return self.runs and self.method.is_shared

    @property
    def reads(self) -> Reads:
        """What it reads of that pass."""
        return self.method.reads if self.runs else Reads.NOTHING

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
class WeightsAsk:
    """One layer whose weights are wanted; no pass is made for it."""

    layer: LayerRef
    learned: Optional[LearnedWeights]
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class Job:
    """One row's work. Among its maps the rankings of channels come last."""

    row: int
    request: Request
    view: View
    top_k: int
    rules: Tuple[TargetRule, ...]
    maps: Tuple[MapAsk, ...]
    activations: Tuple[ActivationAsk, ...]
    problems: Tuple[Problem, ...]
    preprocess_ms: float
    # Where the true cause is known to be: bool [H, W] at the model's input size.
    mask: Optional[np.ndarray] = None
    weights: Tuple[WeightsAsk, ...] = ()
    further: Tuple[Further, ...] = ()

    @property
    def has_image(self) -> bool:
        return self.request.image is not None

    @property
    def whole(self) -> Job:
        """Of which a part may be asked."""
        return replace(self, request=replace(self.request, part=None))

    @property
    def is_bare(self) -> bool:
        """A prediction and nothing else, whose document needs no measuring."""
        return not (self.maps or self.activations or self.weights or self.further)

    @property
    def image_shape(self) -> Shape:
        """[channels, height, width] of the model's input."""
        height, width, channels = self.view.pixels.shape
        return channels, height, width

    @property
    def shows_partial_maps(self) -> bool:
        return self.request.stream and self.request.part is None

    @property
    def time_limit_ms(self) -> Optional[float]:
        """A stream keeps its worker alive, and may take its time."""
        budget = self.request.budget_ms
        return None if budget is None or self.request.stream else budget * PATIENCE

    @property
    def own_asks(self) -> Dict[int, MapAsk]:
        """Those that need passes of their own, by their place in `maps`."""
        return {i: ask for i, ask in enumerate(self.maps) if ask.runs and not ask.shares}

    @property
    def recorded(self) -> Tuple[LayerRef, ...]:
        """The layers whose activations are answered, or that further passes start from."""
        answered = [ask.layer for ask in self.activations if ask.runs]
        started = [ask.layer for ask in self.own_asks.values() if ask.layer is not None]
        further = [layer for asked in self.further for layer in asked.layers]
        return distinct([*answered, *started, *further])

    @property
    def by_relevance(self) -> bool:
        """Whether channels are chosen by what they mean for the target."""
        asked = self.request.activations
        if asked is None or not any(ask.runs for ask in self.activations):
            return False
        return asked.sort_by == "relevance" and not isinstance(asked.channels, tuple)

    def reads(self, what: Reads) -> bool:
        """Whether any map reads this of the shared pass."""
        return any(ask.reads & what for ask in self.maps)

    @property
    def needs_gradients(self) -> bool:
        return self.by_relevance or self.reads(Reads.GRADIENT)

    @property
    def needs_input_gradient(self) -> bool:
        return self.reads(Reads.INPUT_GRADIENT | Reads.RULED_GRADIENT)

    @property
    def depth(self) -> int:
        """How many of the most probable classes this row has to know."""
        rules = [*self.rules, *(rule for ask in self.maps for rule in ask.rules)]
        return max([self.top_k, *(rule.depth for rule in rules)])

    @property
    def most_backwards(self) -> int:
        """As many as its targets have ways back, unless some turn out to be the same class."""
        return sum(
            sum(rule.count for rule in distinct(rules)) for rules in self._rules_by_way().values()
        )

    def _rules_by_way(self) -> Dict[Reads, Tuple[TargetRule, ...]]:
        """For each kind of backward pass what it has to explain."""
        by_way: Dict[Reads, Tuple[TargetRule, ...]] = {}
        if self.by_relevance:
            by_way[PLAIN] = self.rules[:1]
        for way in WAYS_BACK:
            for ask in self.maps:
                if ask.reads & way:
                    by_way[way] = (*by_way.get(way, ()), *ask.rules)
        return by_way

    def layers(self) -> Tuple[LayerRef, ...]:
        asked = [ask.layer for ask in self.maps if ask.shares and ask.layer is not None]
        return distinct([*asked, *self.recorded])

    def targets(self, ranking: Sequence[int]) -> Tuple[Chosen, ...]:
        """What is to be explained from the shared pass, in order."""
        first = self.rules[0].choose(ranking)[:1] if self.by_relevance else ()
        asked = [chosen for ask in self.maps if ask.shares for chosen in ask.choose(ranking)]
        return distinct([*first, *asked])


def distinct(items: Any) -> Any:
    """In order, each once."""
    return tuple(dict.fromkeys(items))
