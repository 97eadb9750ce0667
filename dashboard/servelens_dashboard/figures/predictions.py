"""Predictions as bars; of several models beside each other, a class in the same row of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from servelens.protocol import Prediction
from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, brief, chance, number, plain
from servelens_dashboard.figures.twin import Cell, Twin

Models = Mapping[str, Sequence[Prediction]]
Class = tuple[int, str]

ROW = 28
GAP = 0.06
# Room for the number behind a bar that fills its column, by how many columns there are.
REACH = 0.25


def draw(models: Models, chosen: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """A clicked bar's `customdata` begins with the index of its class."""
    classes = _classes(models)
    names = [brief(label) for _, label in classes]
    several = len(models) > 1
    drawn = look.figure(
        theme,
        height=ROW * max(1, len(classes)) + (30 if several else 8),
        margin=look.sides(left=8, right=8, top=26 if several else 4, bottom=4),
        bargap=0.35,
        showlegend=False,
    )
    drawn.update_yaxes(
        tickvals=list(range(len(classes))),
        ticktext=[plain(name) for name in names],
        range=[len(classes) - 0.5, -0.5],
        showgrid=False,
        ticks="outside",
        tickcolor=look.CLEAR,
        tickfont={"size": look.USUAL, "color": theme.ink},
    )
    width = (1 - GAP * (len(models) - 1)) / max(1, len(models))
    for place, (model, predictions) in enumerate(models.items()):
        axis = "x" if place == 0 else f"x{place + 1}"
        start = place * (width + GAP)
        column = {
            "domain": [start, start + width],
            "range": [0, 1 + REACH * len(models)],
            "visible": False,
        }
        drawn.update_layout({axis.replace("x", "xaxis"): column})
        drawn.add_trace(_bars(predictions, classes, chosen, theme, axis))
        if several:
            drawn.add_annotation(_title(model, start, theme))
    if not classes:
        drawn.add_annotation(look.note("no predictions", theme))
    return drawn


def tell(models: Models) -> Twin:
    several = len(models) > 1
    rows: list[dict[str, Cell]] = []
    for model, predictions in models.items():
        which: dict[str, Cell] = {"model": model} if several else {}
        rows += [
            {
                **which,
                "class": prediction.label,
                "index": prediction.index,
                "probability": prediction.probability,
                "logit": prediction.logit,
            }
            for prediction in predictions
        ]
    best = [
        f"{f'{model}: ' if several else ''}{first.label}, {chance(first.probability)}"
        for model, predictions in models.items()
        if (first := next(iter(predictions), None))
    ]
    return Twin(f"{'; '.join(best)}." if best else "No predictions.", tuple(rows))


def _classes(models: Models) -> list[Class]:
    """Those of the first model in its order, then what only others have. Two classes may bear one
    label, and an index may mean another class in another model."""
    seen: dict[Class, None] = {}
    for predictions in models.values():
        seen.update(dict.fromkeys((p.index, p.label) for p in predictions))
    return list(seen)


def _bars(
    predictions: Sequence[Prediction],
    classes: Sequence[Class],
    chosen: int | None,
    theme: Theme,
    axis: str,
) -> dict[str, Any]:
    rows = {place: row for row, place in enumerate(classes)}
    return {
        "type": "bar",
        "orientation": "h",
        "xaxis": axis,
        "y": [rows[p.index, p.label] for p in predictions],
        "x": [p.probability for p in predictions],
        "text": [chance(p.probability) for p in predictions],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {
            "color": [theme.accent if p.index == chosen else theme.fill for p in predictions]
        },
        "customdata": [[p.index, plain(p.label), number(p.logit)] for p in predictions],
        "hovertemplate": "%{customdata[1]} (%{customdata[0]})<br>probability %{x:.3g}"
        "<br>logit %{customdata[2]}<extra></extra>",
    }


def _title(model: str, start: float, theme: Theme) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": start, "y": 1, "showarrow": False}
    ends = {"xanchor": "left", "yanchor": "bottom"}
    return {"text": plain(brief(model)), "font": {"color": theme.quiet}, **place, **ends}
