"""What a capability document says of a model's layers, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servelens.client.reading import carried, read


@dataclass(frozen=True)
class Field:
    """What one place of a layer sees of the input; `whole` where that is all of it."""

    size: tuple[int, ...]
    stride: tuple[float, ...]
    offset: tuple[float, ...]
    whole: bool


@dataclass(frozen=True)
class Layer:
    name: str
    type: str
    stage: str | None
    shape: tuple[int, ...] | None
    parameters: int
    receptive_field: Field | None
    more: Mapping[str, Any] = carried()


def read_layers(capability: Mapping[str, Any]) -> tuple[Layer, ...]:
    return read(tuple[Layer, ...], capability["layers"], "capability.layers")
