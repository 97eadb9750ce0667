"""Predictions as bars; of several models under each other, their classes in one order."""

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

ROW = 26
# In rows: what a model's name takes, and the space before the next one's.
TITLE = 1.0
BETWEEN = 0.4
# Pixels for the number behind the longest bar, which no class's name may take: ">0.999".
NUMBER = 56


def draw(models: Models, chosen: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """A clicked bar's `customdata` begins with the index of its class."""
    order = _order(models)
    several = len(models) > 1
    drawn = look.figure(theme, margin=look.sides(8, NUMBER, 4, 4), bargap=0.35, showlegend=False)
    at, names = 0.0, {}
    for model, predictions in models.items():
        if several:
            drawn.add_annotation(_title(model, at, theme))
            at += TITLE
        listed = sorted(predictions, key=lambda p: order[p.index, p.label])
        rows = [at + place for place in range(len(listed))]
        names.update({row: brief(p.label) for row, p in zip(rows, listed, strict=True)})
        drawn.add_trace(_bars(listed, rows, chosen, theme))
        at += len(listed) + (BETWEEN if several else 0)
    drawn.update_layout(height=round(ROW * max(1.0, at)) + 8)
    drawn.update_xaxes(range=[0, 1], visible=False)
    drawn.update_yaxes(
        tickvals=list(names),
        ticktext=[plain(name) for name in names.values()],
        range=[at - 0.5, -0.5],
        showgrid=False,
        ticks="outside",
        tickcolor=look.CLEAR,
        tickfont={"size": look.USUAL, "color": theme.ink},
    )
    if not names:
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


def _order(models: Models) -> dict[Class, int]:
    """Those of the first model in its order, then what only others have. Two classes may bear one
    label, and an index may mean another class in another model."""
    seen: dict[Class, None] = {}
    for predictions in models.values():
        seen.update(dict.fromkeys((p.index, p.label) for p in predictions))
    return {named: place for place, named in enumerate(seen)}


def _bars(
    predictions: Sequence[Prediction], rows: Sequence[float], chosen: int | None, theme: Theme
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": rows,
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


def _title(model: str, row: float, theme: Theme) -> dict[str, Any]:
    place = {"xref": "paper", "x": 0, "y": row, "showarrow": False, "xanchor": "left"}
    return {"text": plain(brief(model)), "font": {"color": theme.quiet}, **place}
