"""One recorded pass: what chosen layers gave, and on demand what moves a score there.

An activation is copied before anything in place can change it, and its place in the graph is
noted, so that the model itself runs as if nobody looked. The graph begins at the first layer that
is recorded, or at the input where its gradient is wanted; what comes before is computed as
cheaply as a plain prediction.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from servelens.engine.head import Head, HeadTap
from servelens.engine.layers import LayerRef
from servelens.engine.packing import Packs
from servelens.engine.rectifiers import Rectifiers, Rule
from servelens.engine.state import borrowed, forward_hooks, random_numbers_kept

Place = Union[torch.Tensor, GradientEdge]


@dataclass(frozen=True)
class Kept:
    """What a module gave in one call, and where in the graph that is, if it is part of one."""

    values: torch.Tensor
    place: Optional[Place] = None


@dataclass(frozen=True)
class Gradients:
    """Of one score for each row; None where no graph leads from the score back to a layer or to
    the input, because it has no part in the score or the model computes the way without one."""

    input: Optional[torch.Tensor]
    layers: Mapping[LayerRef, Optional[torch.Tensor]]


class Tape:
    """What one forward pass of a batch left behind."""

    def __init__(
        self,
        batch: torch.Tensor,
        output: torch.Tensor,
        calls: Mapping[str, List[Optional[Kept]]],
        rectifiers: Optional[Rectifiers] = None,
    ) -> None:
        self.input = batch
        self.output = output
        self._calls = calls
        self._rectifiers = rectifiers

    def call_of(self, layer: LayerRef) -> int:
        """Which of the module's calls the layer is."""
        return len(self._calls[layer.module]) - 1 if layer.call is None else layer.call

    def activation(self, layer: LayerRef) -> Optional[torch.Tensor]:
        """None where the module did not run, or did not give one tensor with a row an image."""
        kept = self._kept(layer)
        return None if kept is None else kept.values

    def gradients(
        self,
        score: Callable[[torch.Tensor], torch.Tensor],
        layers: Sequence[LayerRef],
        *,
        of_input: bool,
        keep_graph: bool,
        rule: Optional[Rule] = None,
    ) -> Gradients:
        """Of a score of the output; the rows' scores are summed, for in eval mode no row
        influences another, so that the sum's gradient holds each row's own. A rule needs a pass
        that was recorded with its rectifiers."""
        kept = [self._kept(layer) for layer in layers]
        places = [None if one is None else one.place for one in kept]
        if of_input:
            places.append(self.input)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            if rule is not None:
                assert self._rectifiers is not None
                stack.enter_context(self._rectifiers.under(rule))
            found = _gradients_of(score(self.output), places, keep_graph)
        return Gradients(found[-1] if of_input else None, dict(zip(layers, found)))

    def _kept(self, layer: LayerRef) -> Optional[Kept]:
        calls, index = self._calls[layer.module], self.call_of(layer)
        kept = calls[index] if 0 <= index < len(calls) else None
        if kept is None or kept.values.shape[:1] != self.input.shape[:1]:
            return None
        return kept


@dataclass(frozen=True)
class Replaced:
    """Values that stand in a pass for what one call of a module gives. They may have more rows than
    the batch; what they make then has as many (see `prefix.py`)."""

    module: str
    call: int
    values: torch.Tensor


def record(
    model: nn.Module,
    head: Head,
    batch: torch.Tensor,
    layers: Sequence[LayerRef] = (),
    *,
    gradients: bool = False,
    of_input: bool = False,
    ruled: bool = False,
    exact: bool = False,
    replaced: Optional[Replaced] = None,
) -> Tape:
    """Run the batch once and keep what the layers gave; `gradients` makes a graph from there on,
    `ruled` one whose rectifiers can follow a rule; `exact` is as the model itself computes, to the
    last bit."""
    calls: Dict[str, List[Optional[Kept]]] = {layer.module: [] for layer in layers}
    if replaced is not None:
        calls.setdefault(replaced.module, [])
    hooks = {name: _keep(kept, gradients, _of(replaced, name)) for name, kept in calls.items()}
    rectifiers = Rectifiers() if ruled else None
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(not gradients))
        stack.enter_context(borrowed(model))
        stack.enter_context(forward_hooks(model, hooks))
        source = batch.clone().requires_grad_(of_input)
        stack.enter_context(random_numbers_kept(batch.device))
        if not exact:
            stack.enter_context(Packs())
        tap = stack.enter_context(HeadTap(head.kind))
        if rectifiers is not None:
            stack.enter_context(rectifiers)
        # A model may change its input in place, which no leaf of a graph allows.
        output = tap.logits(model(source.clone()))
    return Tape(source, output, calls, rectifiers)


def _of(replaced: Optional[Replaced], module: str) -> Optional[Replaced]:
    return replaced if replaced is not None and replaced.module == module else None


def _keep(
    kept: List[Optional[Kept]], gradients: bool, replaced: Optional[Replaced]
) -> Callable[..., Optional[torch.Tensor]]:
    def hook(module: nn.Module, inputs: Tuple[Any, ...], output: Any) -> Optional[torch.Tensor]:
        if replaced is not None and len(kept) == replaced.call:
            return _start_from(replaced.values, kept, gradients)
        if not isinstance(output, torch.Tensor):
            kept.append(None)
            return None
        if not gradients or not output.is_floating_point():
            kept.append(Kept(output.detach().clone()))
        elif output.requires_grad:
            kept.append(Kept(output.detach().clone(), get_gradient_edge(output)))
        else:
            return _start_from(output.detach().clone(), kept, gradients)
        return None

    return hook


def _start_from(values: torch.Tensor, kept: List[Optional[Kept]], gradients: bool) -> torch.Tensor:
    """The graph, where there is one, begins here; what goes on is a copy that may be changed."""
    place = values.requires_grad_(True) if gradients else None
    kept.append(Kept(values, place))
    return values.clone()


def _gradients_of(
    total: torch.Tensor, places: Sequence[Optional[Place]], keep_graph: bool
) -> List[Optional[torch.Tensor]]:
    """torch refuses to go where no graph leads: from a constant score, to a layer of integers."""
    known: List[Any] = [place for place in places if place is not None]
    if not total.requires_grad or not known:
        return [None] * len(places)
    gradients = iter(torch.autograd.grad(total, known, retain_graph=keep_graph, allow_unused=True))
    return [None if place is None else next(gradients) for place in places]
