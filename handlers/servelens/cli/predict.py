"""servelens predict: what a model takes photos for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from servelens.cli import options
from servelens.cli.asking import answer_each
from servelens.cli.connection import chosen, connected
from servelens.cli.screen import print_table

if TYPE_CHECKING:
    from servelens.client import Result

HEAD = ("class", "label", "probability", "logit")

TopK = Annotated[int, typer.Option(min=1, help="How many classes.")]


def predict(
    images: options.Images,
    model: options.Model = None,
    version: options.Version = None,
    top_k: TopK = 5,
    at_once: options.AtOnce = 4,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = options.PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """Ask a model what is on photos."""
    with connected(url, management, keys, timeout) as server:
        name = chosen(server, model)

        def ask(image: Path) -> Result:
            return server.predict(name, image, version=version, top_k=top_k)

        answer_each(images, ask, show_predictions, at_once=at_once, as_json=as_json)


def show_predictions(image: Path, result: Result) -> None:
    rows = (
        (p.index, p.label, f"{p.probability:.2%}", f"{p.logit:.3g}") for p in result.predictions
    )
    print_table(f"{image} by {result.model.name} {result.model.version}", HEAD, rows)
