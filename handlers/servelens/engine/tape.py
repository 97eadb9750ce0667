"""One recorded pass: what chosen layers gave, and on demand what moves a score there.

An activation is copied before anything in place can change it, and its place in the graph is
noted, so that the model itself runs as if nobody looked. The graph begins at the first layer that
is recorded, or at the input where its gradient is wanted; what comes before is computed as
cheaply as a plain prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from servelens.engine.head import Head, HeadTap
from servelens.engine.layers import LayerRef
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
    ) -> None:
        self.input = batch
        self.output = output
        self._calls = calls

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
    ) -> Gradients:
        """Of a score of the output; the rows' scores are summed, for in eval mode no row
        influences another, so that the sum's gradient holds each row's own."""
        kept = [self._kept(layer) for layer in layers]
        places = [None if one is None else one.place for one in kept]
        if of_input:
            places.append(self.input)
        with torch.inference_mode(False):
            found = _gradients_of(score(self.output), places, keep_graph)
        return Gradients(found[-1] if of_input else None, dict(zip(layers, found)))

    def _kept(self, layer: LayerRef) -> Optional[Kept]:
        calls = self._calls[layer.module]
        index = len(calls) - 1 if layer.call is None else layer.call
        kept = calls[index] if 0 <= index < len(calls) else None
        if kept is None or kept.values.shape[:1] != self.input.shape[:1]:
            return None
        return kept


def record(
    model: nn.Module,
    head: Head,
    batch: torch.Tensor,
    layers: Sequence[LayerRef] = (),
    *,
    gradients: bool = False,
    of_input: bool = False,
) -> Tape:
    """Run the batch once and keep what the layers gave; `gradients` makes a graph from there on."""
    calls: Dict[str, List[Optional[Kept]]] = {layer.module: [] for layer in layers}
    hooks = {name: _keep(kept, gradients) for name, kept in calls.items()}
    with torch.inference_mode(not gradients), borrowed(model), forward_hooks(model, hooks):
        source = batch.clone().requires_grad_(of_input)
        with random_numbers_kept(batch.device), HeadTap(head.kind) as tap:
            # A model may change its input in place, which no leaf of a graph allows.
            output = tap.logits(model(source.clone()))
    return Tape(source, output, calls)


def _keep(kept: List[Optional[Kept]], gradients: bool) -> Callable[..., Optional[torch.Tensor]]:
    def hook(module: nn.Module, inputs: Tuple[Any, ...], output: Any) -> Optional[torch.Tensor]:
        if not isinstance(output, torch.Tensor):
            kept.append(None)
            return None
        values = output.detach().clone()
        if not gradients or not output.is_floating_point():
            kept.append(Kept(values))
        elif output.requires_grad:
            kept.append(Kept(values, get_gradient_edge(output)))
        else:
            kept.append(Kept(values, values.requires_grad_(True)))
            return values.clone()
        return None

    return hook


def _gradients_of(
    total: torch.Tensor, places: Sequence[Optional[Place]], keep_graph: bool
) -> List[Optional[torch.Tensor]]:
    """torch refuses to go where no graph leads: from a constant score, to a layer of integers."""
    known: List[Any] = [place for place in places if place is not None]
    if not total.requires_grad or not known:
        return [None] * len(places)
    gradients = iter(torch.autograd.grad(total, known, retain_graph=keep_graph, allow_unused=True))
    return [None if place is None else next(gradients) for place in places]
