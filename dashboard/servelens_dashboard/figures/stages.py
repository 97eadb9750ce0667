"""A network as its stages and what flows between them, from a capability document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_SHOWN = 4
UNNAMED = "network"


@dataclass(frozen=True)
class Stage:
    """`shown` are the layers that stand for it: the default ones in it, and the chosen one."""

    name: str
    layers: tuple[str, ...]
    shown: tuple[str, ...]
    shape: tuple[int, ...] | None
    parameters: int


@dataclass(frozen=True)
class Network:
    """`links` are pairs of stages, by number, with how many of the layers' edges each is."""

    stages: tuple[Stage, ...]
    links: Mapping[tuple[int, int], int]


def stages_of(capability: Mapping[str, Any], chosen: str | None = None) -> Network:
    """Hundreds of layers and edges come to a few boxes: only what crosses a stage's border is left,
    and of its layers those that are shown first."""
    stage_of = _filled(capability["layers"])
    names = list(dict.fromkeys(stage_of.values()))
    wanted = [*capability["default_layers"], *([chosen] if chosen else [])]
    stages = [
        _stage(
            name,
            [layer for layer in capability["layers"] if stage_of[layer["name"]] == name],
            wanted,
        )
        for name in names
    ]
    ends = (
        tuple(names.index(stage_of[end.partition("#")[0]]) for end in edge)
        for edge in capability["edges"]
    )
    links = Counter((origin, end) for origin, end in ends if origin != end)
    return Network(tuple(stages), dict(sorted(links.items())))


def _filled(layers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Each layer's stage; one that is in none, such as the pooling between two, goes with those
    before it."""
    found: dict[str, str] = {}
    listed = list(layers)
    last = next((layer["stage"] for layer in listed if layer["stage"]), UNNAMED)
    for layer in listed:
        last = layer["stage"] or last
        found[layer["name"]] = last
    return found


def _stage(name: str, layers: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> Stage:
    names = [layer["name"] for layer in layers]
    shaped = [layer for layer in layers if layer["shape"]]
    last = shaped[-1] if shaped else layers[-1]
    # The chosen layer is wanted last, and stays where there are more than fit.
    here = [layer for layer in dict.fromkeys(wanted) if layer in names][-MOST_SHOWN:]
    return Stage(
        name,
        tuple(names),
        tuple(sorted(here, key=names.index)) or (last["name"],),
        tuple(last["shape"]) if last["shape"] else None,
        sum(layer["parameters"] for layer in layers if layer.get("leaf", True)),
    )
