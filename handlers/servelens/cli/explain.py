"""servelens explain: what in photos a model goes by, as maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from servelens.cli import options
from servelens.cli.asking import answer_each
from servelens.cli.connection import chosen, connected
from servelens.cli.predict import show_predictions
from servelens.cli.screen import print_table
from servelens.cli.words import request_keys, value_of

if TYPE_CHECKING:
    from servelens.client import Attribution, Result

HEAD = ("map", "size", "numbers")

Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="grad_cam, saliency …; else the archive's own plan. Repeatable."),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", "-t", help="A label, an index, or top:3; else the prediction. Repeatable."
    ),
]
More = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="KEY=VALUE", help="Any other key of a request: seed=3. Repeatable."
    ),
]


def explain(
    images: options.Images,
    method: Methods = None,
    layer: options.Layers = None,
    target: Targets = None,
    out: options.Out = None,
    more: More = None,
    model: options.Model = None,
    version: options.Version = None,
    at_once: options.AtOnce = 4,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = options.PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """Ask a model what in photos it goes by; keep the maps."""
    asked = {"explain": plan(method or [], layer or []), **request_keys(more or [])}
    if target:
        asked["target"] = [value_of("target", text) for text in target]
    with connected(url, management, keys, timeout) as server:
        name = chosen(server, model)

        def ask(image: Path) -> Result:
            return server.explain(name, image, version=version, **asked)

        answer_each(images, ask, show_maps, at_once=at_once, as_json=as_json, out=out)


def plan(methods: Sequence[str], layers: Sequence[str]) -> Any:
    """The value of the key `explain`; every method is asked at every layer."""
    if not methods:
        if layers:
            raise typer.BadParameter("--layer says where a method looks; name one with --method")
        return True
    if not layers:
        return list(methods)
    return [{"method": method, "layers": list(layers)} for method in methods]


def show_maps(image: Path, result: Result) -> None:
    show_predictions(image, result)
    print_table("", HEAD, (_cells(entry) for entry in result.attributions))


def _cells(entry: Attribution) -> tuple[str, ...]:
    from servelens.client.colours import Scale

    if entry.map is None:
        return entry.title, "none", entry.why_nothing
    size = " × ".join(map(str, entry.map.shape))
    return entry.title, size, Scale.of(entry.map, signed=entry.signed).words()
