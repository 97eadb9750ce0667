"""How an attribution method is declared: what it is called, what it takes, what it reads.

The plan makes the passes; a method only says what it needs from them and turns that into a map.
Most read the pass that a whole request shares; a method with a `series` has images of its own run
and tallies what they gave.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import torch

from servelens.engine.kit.params import Param, read_params
from servelens.engine.kit.series import Series, Shape


class Reads(enum.Flag):
    """What of a recorded pass a method reads; the plan records the union over all rows."""

    NOTHING = 0
    ACTIVATION = enum.auto()
    LAYER_GRADIENT = enum.auto()
    INPUT_GRADIENT = enum.auto()
    GUIDED_GRADIENT = enum.auto()
    DECONVOLVED_GRADIENT = enum.auto()
    RULED_GRADIENT = GUIDED_GRADIENT | DECONVOLVED_GRADIENT
    GRADIENT = LAYER_GRADIENT | INPUT_GRADIENT | RULED_GRADIENT


@dataclass(frozen=True)
class Reading:
    """What one forward and one backward pass gave, for the rows that asked for a method.

    Everything is batched: the first dimension of every tensor is the rows. `ruled_gradient` is the
    input's gradient under the rule that the method reads.
    """

    input: torch.Tensor
    input_gradient: Optional[torch.Tensor] = None
    ruled_gradient: Optional[torch.Tensor] = None
    activation: Optional[torch.Tensor] = None
    layer_gradient: Optional[torch.Tensor] = None


@dataclass(frozen=True)
class Method:
    """One attribution method.

    `reads` is of the pass that the request shares. With a `series`, `run` makes a Tally, and
    `reads_each` is what it reads of each of the series' images. `needs_layer_map` takes only
    layers whose output is [channels, height, width]; `comes_in_parts` says that shares of the
    work add up, `looks_back` that each image is read beside the one before, which a share then
    runs again; `complete` that the map adds up to a difference of scores.
    """

    name: str
    title: str
    family: str
    scope: str
    signed: bool
    paper: str
    summary: str
    run: Callable[..., Any]
    reads: Reads = Reads.NOTHING
    params: Tuple[Param, ...] = ()
    needs_layer_map: bool = False
    series: Optional[Series] = None
    reads_each: Reads = Reads.NOTHING
    comes_in_parts: bool = False
    looks_back: bool = False
    complete: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether the passes that the whole request shares are all that it takes."""
        return self.series is None

    def within(self, steps: int) -> Method:
        """The method where a path may have so many steps at most."""
        params = (p.at_most(steps) if p.name == "steps" else p for p in self.params)
        return replace(self, params=tuple(params))

    def read_params(self, given: Mapping[str, Any], where: str) -> Dict[str, Any]:
        """The caller's parameters, checked, with the defaults of those not given."""
        return read_params(self.name, self.params, given, where)

    def passes(
        self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]
    ) -> Tuple[int, int]:
        """Images forward and back for a first target, beside the forward that all share."""
        if self.series is not None:
            count = self.series.count(params, image, layer)
            back = bool(self.reads_each & Reads.GRADIENT)
            return self.series.passes(params, count, 1, back=back)
        plain = bool(self.reads & (Reads.LAYER_GRADIENT | Reads.INPUT_GRADIENT))
        return 0, plain + bool(self.reads & Reads.RULED_GRADIENT)


def attribution(
    *,
    name: str,
    title: str,
    family: str,
    scope: str,
    signed: bool,
    paper: str,
    params: Tuple[Param, ...] = (),
    **more: Any,
) -> Callable[[Callable[..., Any]], Method]:
    """Turns what stands below it, a function or a Tally, into the Method that it declares; the
    first line of its docstring is the summary. `more` are fields of Method."""
    series = more.get("series")
    all_params = (*series.params, *params) if series is not None else params

    def declare(run: Callable[..., Any]) -> Method:
        summary = (run.__doc__ or "").strip().splitlines()[0]
        return Method(
            name=name,
            title=title,
            family=family,
            scope=scope,
            signed=signed,
            paper=paper,
            summary=summary,
            run=run,
            params=all_params,
            **more,
        )

    return declare
