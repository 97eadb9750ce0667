"""How an attribution method is declared: what it is called, what it takes, what it reads.

The plan makes the passes; a method only says what it needs from them and turns that into a map.
Everything is batched: the first dimension of every tensor is the rows that asked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import torch

from servelens.protocol import did_you_mean, place, problem, shorten
from servelens.protocol.shapes import Shape


class Reads(enum.Flag):
    """What of a recorded pass a method reads; the plan records the union over all rows."""

    ACTIVATION = enum.auto()
    LAYER_GRADIENT = enum.auto()
    INPUT_GRADIENT = enum.auto()


@dataclass(frozen=True)
class Reading:
    """What one forward and one backward pass gave, for the rows that asked for a method."""

    input: torch.Tensor
    input_gradient: Optional[torch.Tensor] = None
    activation: Optional[torch.Tensor] = None
    layer_gradient: Optional[torch.Tensor] = None


@dataclass(frozen=True)
class Map:
    """What a method gives: [N, ...] values, and whether their sign means something."""

    values: torch.Tensor
    signed: bool


@dataclass(frozen=True)
class Param:
    """One parameter: a caller's form, the validation and the documentation come from here."""

    name: str
    shape: Shape
    default: Any
    help: str

    def describe(self) -> Dict[str, Any]:
        schema = self.shape.schema()
        return {
            "name": self.name,
            "type": schema.get("type", "choice"),
            "default": self.default,
            "min": schema.get("minimum"),
            "max": schema.get("maximum"),
            "choices": schema.get("enum"),
            "help": self.help,
        }


@dataclass(frozen=True)
class Method:
    """One attribution method."""

    name: str
    title: str
    family: str
    scope: str
    signed: bool
    reads: Reads
    params: Tuple[Param, ...]
    paper: str
    summary: str
    run: Callable[..., Map]
    spatial_layer: bool = False

    # A backward pass costs about two forward ones, and every method shares the first forward.
    relative_cost = 3.0

    def read_params(self, given: Mapping[str, Any], where: str) -> Dict[str, Any]:
        """The caller's parameters, checked, with the defaults of those not given."""
        known = {param.name: param for param in self.params}
        for name in given:
            if name not in known:
                raise problem(
                    "unknown_key",
                    f"{self.name} has no parameter {shorten(name)}",
                    hint=did_you_mean(name, known) if known else f"{self.name} takes none",
                    where=place(name, where),
                )
        return {
            name: param.shape.read(given[name], f"{where}.{name}")
            if name in given
            else param.default
            for name, param in known.items()
        }


def attribution(
    *,
    name: str,
    title: str,
    family: str,
    scope: str,
    signed: bool,
    reads: Reads,
    paper: str,
    params: Tuple[Param, ...] = (),
    spatial_layer: bool = False,
) -> Callable[[Callable[..., Map]], Method]:
    """Turns the function below it into the Method it declares; its first line is the summary."""

    def declare(run: Callable[..., Map]) -> Method:
        summary = (run.__doc__ or "").strip().splitlines()[0]
        return Method(
            name, title, family, scope, signed, reads, params, paper, summary, run, spatial_layer
        )

    return declare
