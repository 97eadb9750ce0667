"""Results as a notebook shows them: one piece of HTML that needs no other file, and no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from servelens.client.beside import beside
from servelens.client.cards import card
from servelens.client.markup import Markup, element, table
from servelens.client.panels import Panel, panels
from servelens.client.pictures import data_url
from servelens.client.results import Activation, Attribution, Prediction, Result, Showable

LONGEST = 224
ROW = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start"
FIGURE = "margin:8px 0;max-width:{}px"
ROOM = 36
STATISTICS = ("mean", "std", "min", "max", "sparsity", "active_channels", "dead_channels")


def show(result: Showable, longest: int = LONGEST) -> Markup:
    """Pictures have at most so many pixels on their longer side."""
    return element("div", *_parts(result, longest))


def _parts(result: Showable, longest: int) -> Iterator[Markup]:
    if isinstance(result, Result):
        yield element("p", element("b", result.title), f" {_provenance(result)}")
        yield from (element("p", problem.message) for problem in result.problems or ())
        if result.predictions:
            yield _predictions(result.predictions)
    figures = (_figure(panel, longest + ROOM) for panel in panels(result, longest))
    yield element("div", *figures, style=ROW)
    for entry in result.entries:
        if isinstance(entry, Attribution) and entry.trust is not None:
            yield card(entry.title, entry.trust)
    layers = [entry for entry in result.entries if isinstance(entry, Activation)]
    if any(layer.statistics for layer in layers):
        yield _statistics(layers)
    if isinstance(result, Result):
        yield from beside(result)


def _figure(panel: Panel, width: int) -> Markup:
    said = element("figcaption", element("b", panel.title), element("br"), panel.caption)
    style = FIGURE.format(width)
    if panel.picture is None:
        return element("figure", said, style=style)
    words = f"{panel.title}: {panel.caption}"
    drawn = element("img", src=data_url(panel.picture), alt=words, style="max-width:100%")
    return element("figure", drawn, said, style=style)


def _provenance(result: Result) -> str:
    model, cost = result.model, result.cost
    passes = f"{cost.forwards} forward, {cost.backwards} backward"
    return f"version {model.version}, {model.digest[:19]}; {passes}"


def _predictions(predictions: Iterable[Prediction]) -> Markup:
    head = ("class", "label", "probability", "logit")
    rows = ((str(p.index), p.label, f"{p.probability:.2%}", f"{p.logit:.3g}") for p in predictions)
    return table(head, rows)


def _statistics(layers: Iterable[Activation]) -> Markup:
    rows = (
        (
            layer.layer,
            " × ".join(map(str, layer.shape or ())),
            *(f"{getattr(layer.statistics, name):.3g}" for name in STATISTICS),
        )
        for layer in layers
        if layer.statistics is not None
    )
    names = (name.replace("_", " ") for name in STATISTICS)
    return table(("layer", "shape", *names), rows)
