"""servelens layers: the layers of a model, by the names that other commands take."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from servelens.cli import options
from servelens.cli.connection import chosen, connected
from servelens.cli.screen import print_json, print_table

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
    with connected(url, management, keys, timeout) as server:
        name = chosen(server, model)
        capability = server.capability(name, version=version)
    found = [layer for layer in capability["layers"] if fnmatchcase(layer["name"], pattern)]
    if as_json:
        for layer in found:
            print_json(layer)
    else:
        default = set(capability["default_layers"])
        title = f"{len(found)} layers of {name}; what is explained by itself: "
        rows = (_cells(layer, default) for layer in found)
        print_table(f"{title}{capability['default_layer']}", HEAD, rows)


def _cells(layer: Mapping[str, Any], default: set[str]) -> tuple[str, ...]:
    field = layer["receptive_field"] or {}
    star = " *" if layer["name"] in default else ""
    return (
        f"{layer['name']}{star}",
        layer["type"],
        layer["stage"] or "",
        _by(layer["shape"]),
        _by(field.get("stride")),
        "all" if field.get("whole") else _by(field.get("size")),
        f"{layer['parameters']:,}",
    )


def _by(sizes: list[int] | None) -> str:
    return " × ".join(map(str, sizes or ()))
