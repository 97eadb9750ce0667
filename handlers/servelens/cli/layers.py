"""servelens layers: the layers of a model, by the names that other commands take."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from servelens.cli import options
from servelens.cli.connection import chosen, connected
from servelens.cli.screen import print_json, print_table
from servelens.protocol import did_you_mean

if TYPE_CHECKING:
    from servelens.client.described import Layer

HEAD = ("layer", "type", "stage", "shape", "stride", "receptive field", "parameters")

Pattern = Annotated[str, typer.Argument(metavar="[PATTERN]", help="Only those: 'layer3.*'.")]


def layers(
    pattern: Pattern = "*",
    model: options.Model = None,
    version: options.Version = None,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = options.PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """List a model's layers; a star marks the default ones."""
    from servelens.client.described import read_layers

    with connected(url, management, keys, timeout) as server:
        name = chosen(server, model)
        capability = server.capability(name, version=version)
        known = read_layers(capability)
    found = [place for place, layer in enumerate(known) if fnmatchcase(layer.name, pattern)]
    if not found:
        hint = did_you_mean(pattern, [layer.name for layer in known])
        raise typer.BadParameter(f"{name} has no layer {pattern!r}; {hint}")
    if as_json:
        for place in found:
            print_json(capability["layers"][place])
    else:
        default = set(capability.get("default_layers", ()))
        title = f"{len(found)} layers of {name}; what is explained by itself: "
        rows = (_cells(known[place], default) for place in found)
        print_table(f"{title}{capability.get('default_layer')}", HEAD, rows)


def _cells(layer: Layer, default: set[str]) -> tuple[str, ...]:
    field = layer.receptive_field
    star = " *" if layer.name in default else ""
    return (
        f"{layer.name}{star}",
        layer.type,
        layer.stage or "",
        _by(layer.shape),
        "" if field is None else _by(field.stride),
        "" if field is None else "all" if field.whole else _by(field.size),
        f"{layer.parameters:,}",
    )


def _by(sizes: Sequence[float] | None) -> str:
    return " × ".join(map(str, sizes or ()))
