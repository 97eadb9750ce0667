"""Which of a model's layers to show first: the last feature map, one map a resolution, stages.

They are found from what the layers gave in a pass, not from the names or classes of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import dropwhile
from typing import AbstractSet, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from servelens.engine.survey.anatomy import Layer

HEAD_STAGE = "head"
MOST_DEFAULT_LAYERS = 6

# Input pixels from one unit to the next, vertical and horizontal.
Resolution = Tuple[float, float]


@dataclass(frozen=True)
class Landmarks:
    """See `Survey` for the fields."""

    default_layer: Optional[str]
    default_layers: Tuple[str, ...]
    stages: Mapping[str, Tuple[str, ...]]


def find_landmarks(
    layers: Sequence[Layer], telling: AbstractSet[str], image: Tuple[int, int]
) -> Landmarks:
    """`layers` in execution order; `telling` names those whose output is worth being shown.

    A container ends after its parts, so that the layer that ends last is the largest one whose
    output is the last feature map.
    """
    learnt = dropwhile(lambda layer: layer.parameters == 0, layers)
    maps = [layer for layer in learnt if layer.grid and layer.name in telling]
    if not maps:
        return Landmarks(None, (), {HEAD_STAGE: tuple(layer.name for layer in layers)})
    resolutions = _resolutions(layers, image)
    return Landmarks(
        maps[-1].name,
        _one_a_resolution(layers, maps, resolutions),
        _stages(layers, maps[-1], resolutions),
    )


def _resolutions(layers: Sequence[Layer], image: Tuple[int, int]) -> Dict[str, Resolution]:
    """Of every layer with a map.

    The arithmetic of strides tells it, for sizes alone mislead: unpadded convolutions shrink maps
    too. Where that is not known, it is as on a layer before of this size, or else by the size. A
    map that was pooled along one axis is of the resolution at which that happened.
    """
    found: Dict[str, Resolution] = {}
    by_size: Dict[Tuple[int, int], Resolution] = {}
    current: Optional[Resolution] = None
    for layer in layers:
        if layer.grid is None:
            continue
        field = layer.receptive_field
        if field and all(step < side for step, side in zip(field.stride, image)):
            current = field.stride
        elif layer.grid in by_size:
            current = by_size[layer.grid]
        elif field is None or current is None:
            current = (round(image[0] / layer.grid[0]), round(image[1] / layer.grid[1]))
        by_size.setdefault(layer.grid, current)
        found[layer.name] = current
    return found


def _stages(
    layers: Sequence[Layer], last: Layer, resolutions: Mapping[str, Resolution]
) -> Dict[str, Tuple[str, ...]]:
    """A layer without a map of its own, as in a gate, is of the stage in which it runs."""
    grouped: Dict[Resolution, List[str]] = {}
    until_last = list(layers[: layers.index(last) + 1])
    current = next(resolutions[layer.name] for layer in until_last if layer.name in resolutions)
    for layer in until_last:
        current = resolutions.get(layer.name, current)
        grouped.setdefault(current, []).append(layer.name)
    stages = {f"stage {number}": tuple(names) for number, names in enumerate(grouped.values(), 1)}
    stages[HEAD_STAGE] = tuple(layer.name for layer in layers[len(until_last) :])
    return stages


def _one_a_resolution(
    layers: Sequence[Layer], maps: Sequence[Layer], resolutions: Mapping[str, Resolution]
) -> Tuple[str, ...]:
    chosen: Dict[Resolution, str] = {}
    for name in [*_trunk(layers, maps, resolutions), maps[-1].name]:
        chosen.pop(resolutions[name], None)  # so that they come in execution order
        chosen[resolutions[name]] = name
    return tuple(chosen.values())[-MOST_DEFAULT_LAYERS:]


def _trunk(
    layers: Sequence[Layer], maps: Sequence[Layer], resolutions: Mapping[str, Resolution]
) -> List[str]:
    """The maps that a drawing of the network at its coarsest would show, in execution order.

    These are the children of the model, and in place of a child that is most of the network (a
    `features` of many resolutions) its own children.
    """
    shown = [layer.name for layer in maps]
    leaves = [layer.name for layer in layers if layer.leaf and layer.name in shown]
    parents = _parents([layer.name for layer in layers])

    def is_most(name: str) -> bool:
        inside = [leaf for leaf in leaves if leaf.startswith(f"{name}.")]
        parts = {resolutions[child] for child in shown if parents[child] == name}
        return len(parts) > 1 and 2 * len(inside) > len(leaves)

    opened = {name for name in parents if is_most(name)}
    return [
        name for name in shown if name not in opened and set(_ancestors(name, parents)) <= opened
    ]


def _parents(names: Sequence[str]) -> Dict[str, Optional[str]]:
    """The nearest module around each that ran itself, as a ModuleList never does."""
    known = set(names)
    found: Dict[str, Optional[str]] = {}
    for name in names:
        parts = name.split(".")
        around = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        found[name] = next((parent for parent in around if parent in known), None)
    return found


def _ancestors(name: str, parents: Mapping[str, Optional[str]]) -> Iterator[str]:
    parent = parents[name]
    while parent is not None:
        yield parent
        parent = parents[parent]
