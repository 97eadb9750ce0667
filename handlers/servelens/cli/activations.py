"""servelens activations: what layers gave for photos, and how alive they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from servelens.cli import options
from servelens.cli.asking import answer_each
from servelens.cli.connection import chosen, connected
from servelens.cli.screen import print_table
from servelens.cli.words import value_of

if TYPE_CHECKING:
    from servelens.client import Activation, Result

HEAD = ("layer", "shape", "mean", "std", "max", "zeros", "active", "dead", "strongest channels")
STRONGEST = 5

Channels = Annotated[
    str, typer.Option(help="How many channels to carry, or all, or a list: '[3, 17]'.")
]
SortBy = Annotated[
    str, typer.Option(help="activation, variance, random or relevance: which channels come first.")
]
AllPages = Annotated[
    bool, typer.Option("--all-pages", help="Ask again for what one answer has no room for.")
]


def activations(
    images: options.Images,
    layer: options.Layers = None,
    channels: Channels = "16",
    sort_by: SortBy = "activation",
    all_pages: AllPages = False,
    out: options.Out = None,
    model: options.Model = None,
    version: options.Version = None,
    at_once: options.AtOnce = 4,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = options.PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """Ask what a model's layers gave; keep their channels."""
    wanted: dict[str, Any] = {"channels": value_of("channels", channels), "sort_by": sort_by}
    if layer:
        wanted["layers"] = layer
    with connected(url, management, keys, timeout) as server:
        name = chosen(server, model)

        def ask(image: Path) -> Result:
            return server.activations(name, image, wanted, all_pages=all_pages, version=version)

        answer_each(images, ask, show_layers, at_once=at_once, as_json=as_json, out=out)


def show_layers(image: Path, result: Result) -> None:
    title = f"{image} in {result.model.name} {result.model.version}"
    print_table(title, HEAD, (_cells(entry) for entry in result.activations))


def _cells(entry: Activation) -> tuple[str, ...]:
    found = entry.statistics
    if found is None:
        return entry.layer, "none", entry.why_nothing
    return (
        entry.layer,
        " × ".join(map(str, entry.shape or ())),
        *(f"{number:.3g}" for number in (found.mean, found.std, found.max)),
        f"{found.sparsity:.0%}",
        f"{found.active_channels} of {found.num_channels}",
        str(found.dead_channels),
        ", ".join(str(channel.index) for channel in entry.channels[:STRONGEST]),
    )
