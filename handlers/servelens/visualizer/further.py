"""Single units: what of an answer is drawn, or why there is nothing to draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from servelens.client import NothingToShow, Result
from servelens.client.described import read_layers
from servelens.protocol import ReceptiveField

Numbers = NDArray[Any]


def first_convolution(capability: Mapping[str, Any]) -> str:
    for layer in read_layers(capability):
        if layer.type.startswith("Conv"):
            return layer.name
    raise NothingToShow("this model has no convolution, so it has no filters; name a layer")


def field_of(result: Result) -> ReceptiveField:
    """The one that was asked for, and was measured."""
    field = result.receptive_field
    if field is None:
        raise NothingToShow("the answer has no receptive field")
    if field.map is None:
        why = "it gave no numbers" if field.problem is None else field.problem.words
        raise NothingToShow(f"the receptive field in {field.layer}: {why}")
    return field


def measured(result: Result) -> Numbers:
    found = field_of(result).map
    assert found is not None
    return np.array(found)


def words_of(field: ReceptiveField) -> str:
    """What a receptive field is of, and what arithmetic says of its size."""
    place = "" if field.position is None else f" at {field.position[0]}, {field.position[1]}"
    size = "" if field.theoretical is None else " by ".join(map(str, field.theoretical.size))
    known = f"\nat most {size} pixels" if size else ""
    return f"channel {field.channel} of {field.layer}{place}, by {field.mode}{known}"


def box_seen(result: Result, side: int) -> tuple[float, float, float, float] | None:
    """The theoretical field's box in what the model saw, where its longer side is so long."""
    field, seen = result.receptive_field, result.input
    if field is None or field.box is None or seen is None:
        return None
    left, top, right, bottom = seen.crop
    zoom = side / max(right - left, bottom - top, 1)
    x0, y0, x1, y1 = field.box
    return (x0 - left) * zoom, (y0 - top) * zoom, (x1 - left) * zoom, (y1 - top) * zoom
