"""Predictions with bars; each class is a link that explains it."""

from __future__ import annotations

from collections.abc import Sequence

from dash import dcc, html

from servelens.client import Prediction
from servelens_dashboard.url_state import View


def prediction_list(predictions: Sequence[Prediction], view: View) -> html.Table:
    explained = view.target if view.target is not None else _best(predictions)
    return html.Table(
        [
            html.Caption("Predictions", className="visually-hidden"),
            html.Thead(
                html.Tr([html.Th(name, scope="col") for name in ("class", "probability", "logit")])
            ),
            html.Tbody([_row(prediction, view, explained) for prediction in predictions]),
        ],
        className="predictions",
    )


def _row(prediction: Prediction, view: View, explained: int | None) -> html.Tr:
    chosen = prediction.index == explained
    link = dcc.Link(
        prediction.label,
        href=view.but(target=prediction.index, versus=None).href,
        title=f"Explain {prediction.label}",
    )
    bar = html.Div(className="bar", style={"width": f"{prediction.probability:.2%}"})
    return html.Tr(
        [
            html.Th(link, scope="row"),
            html.Td([bar, f"{prediction.probability:.3f}"]),
            html.Td(f"{prediction.logit:.3g}"),
        ],
        className="chosen" if chosen else None,
        **{"aria-current": "true"} if chosen else {},
    )


def _best(predictions: Sequence[Prediction]) -> int | None:
    return predictions[0].index if predictions else None
