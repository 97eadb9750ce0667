"""The maps that are read off the shared pass.

Rows that ask the same method of the same layer for their target of the same turn run it as one
batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import torch

from servelens.engine.faults import contained
from servelens.engine.findings import Findings, Partial
from servelens.engine.jobs import PLAIN, MapAsk
from servelens.engine.kit import Method, Reading, Reads
from servelens.engine.layers import LayerRef
from servelens.engine.tape import Gradients, Tape
from servelens.protocol import Problem

# What each kind of backward pass of one turn gave.
Ways = Dict[Reads, Gradients]


@dataclass(frozen=True)
class Unit:
    method: str
    params: Tuple[Tuple[str, Any], ...]
    layer: Optional[LayerRef]

    @classmethod
    def of(cls, ask: MapAsk) -> Unit:
        return cls(ask.method.name, tuple(sorted(ask.params.items())), ask.layer)


def run_units(tape: Tape, ways: Ways, rows: Mapping[int, Findings], turn: int) -> Iterator[Partial]:
    units: Dict[Unit, List[Tuple[int, int]]] = {}
    for row, found in rows.items():
        for index, ask in enumerate(found.job.maps):
            if ask.shares and found.targets[turn] in ask.choose(found.ranking):
                units.setdefault(Unit.of(ask), []).append((row, index))
    for unit, members in units.items():
        asked = [(rows[row], index) for row, index in members]
        trouble = _run(unit, [row for row, _ in members], asked, tape, ways, turn)
        if trouble is not None:
            for found, index in asked:
                found.troubles[index, found.targets[turn]] = trouble
        yield from (
            Partial(found, index, found.targets[turn])
            for found, index in asked
            if (index, found.targets[turn]) in found.maps
        )


def _run(
    unit: Unit,
    rows: List[int],
    asked: Sequence[Tuple[Findings, int]],
    tape: Tape,
    ways: Ways,
    turn: int,
) -> Optional[Problem]:
    """Keeps each row's map; what a method cannot do is no trouble of its neighbours'."""
    found, index = asked[0]
    method = found.job.maps[index].method
    trouble = _trouble(method, unit.layer, tape, ways)
    if trouble is not None:
        return trouble
    with contained(f"{unit.method} failed on this image") as failure:
        found_map = method.run(_reading(method, unit.layer, rows, tape, ways), **dict(unit.params))
        for (found, index), values in zip(asked, found_map.values.detach().cpu()):
            found.keep(index, found.targets[turn], replace(found_map, values=values))
    return failure.problem


def _trouble(
    method: Method, layer: Optional[LayerRef], tape: Tape, ways: Ways
) -> Optional[Problem]:
    """What the method reads and this pass does not have. A map of zeros in its place would say
    that nothing matters, when nothing can be known."""
    if layer is not None and tape.activation(layer) is None:
        return not_given(layer)
    from_layer = layer and method.reads & Reads.LAYER_GRADIENT
    if layer and from_layer and ways[PLAIN].layers.get(layer) is None:
        return cut_off(str(layer))
    rule = method.reads & Reads.RULED_GRADIENT
    plainly = method.reads & Reads.INPUT_GRADIENT and ways[PLAIN].input is None
    if plainly or (rule and ways[rule].input is None):
        return cut_off("the input")
    return None


def not_given(layer: LayerRef) -> Problem:
    return Problem("unsupported", f"{layer} gave no tensor with a row for each image")


def cut_off(what: str, of: str = "the class score") -> Problem:
    return Problem(
        "unsupported",
        f"no gradient of {of} reaches {what}",
        hint="it has no part in it, or the model computes without gradients in between",
    )


def _reading(
    method: Method, layer: Optional[LayerRef], rows: List[int], tape: Tape, ways: Ways
) -> Reading:
    def of_rows(tensor: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        return None if tensor is None else tensor.detach()[rows]

    reads = method.reads
    rule = reads & Reads.RULED_GRADIENT
    return Reading(
        input=tape.input.detach()[rows],
        input_gradient=of_rows(ways[PLAIN].input) if reads & Reads.INPUT_GRADIENT else None,
        ruled_gradient=of_rows(ways[rule].input) if rule else None,
        activation=of_rows(tape.activation(layer)) if layer and reads & Reads.ACTIVATION else None,
        layer_gradient=of_rows(ways[PLAIN].layers[layer])
        if layer and reads & Reads.LAYER_GRADIENT
        else None,
    )
