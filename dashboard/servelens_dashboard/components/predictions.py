"""Predictions with bars; each class is a link that explains it, or sets it against the present."""

from __future__ import annotations

from collections.abc import Sequence

from dash import dcc, html

from servelens.client import Prediction
from servelens_dashboard.figures.look import chance, number
from servelens_dashboard.url_state import View

HEAD = ("class", "probability", "logit", "")


def prediction_list(predictions: Sequence[Prediction], view: View) -> html.Table:
    explained = _explained(predictions, view)
    return html.Table(
        [
            html.Caption("Predictions", className="visually-hidden"),
            html.Thead(html.Tr([html.Th(name, scope="col") for name in HEAD])),
            html.Tbody([_row(prediction, view, explained) for prediction in predictions]),
        ],
        className="predictions",
    )


def _row(prediction: Prediction, view: View, explained: int | None) -> html.Tr:
    index, label = prediction.index, prediction.label
    bar = html.Div(className="bar", style={"width": f"{prediction.probability:.2%}"})
    link = dcc.Link(
        label,
        href=view.but(target=index, versus=None).href,
        title=f"Explain {label}",
        className="explain-class",
    )
    return html.Tr(
        [
            html.Th(link, scope="row"),
            html.Td([bar, chance(prediction.probability)]),
            html.Td(number(prediction.logit)),
            html.Td(_against(prediction, view, explained)),
        ],
        className=_kind(index, view, explained),
        **{"aria-current": "true"} if index == explained else {},
    )


def _against(prediction: Prediction, view: View, explained: int | None) -> dcc.Link | None:
    """What speaks for the present class rather than for this one; Shift and a click do the same."""
    if explained is None or prediction.index == explained:
        return None
    return dcc.Link(
        ["vs", html.Span(f" {prediction.label}", className="visually-hidden")],
        href=view.but(target=explained, versus=prediction.index).href,
        title=f"Set the present class against {prediction.label}",
        className="against",
    )


def _kind(index: int, view: View, explained: int | None) -> str | None:
    if index == explained:
        return "chosen"
    return "versus" if index == view.versus else None


def _explained(predictions: Sequence[Prediction], view: View) -> int | None:
    if view.target is not None:
        return view.target
    return predictions[0].index if predictions else None
