"""A figure as it stands on a page: with a sentence, and its numbers as a table a click away."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
import plotly.graph_objects as go
from dash import dcc, html

from servelens_dashboard.figures.look import GRAPH_CONFIG, number
from servelens_dashboard.figures.twin import Cell, Twin

CONFIG = {**GRAPH_CONFIG, "displayModeBar": False, "responsive": True}


def graph(figure: go.Figure, twin: Twin, name: Any, **style: str) -> html.Div:
    """`name` is the graph's id; a figure with a height keeps it, others need a style."""
    height = figure.layout.height
    size = {"height": f"{height}px"} if height else {}
    return html.Div(
        dcc.Graph(
            id=name, figure=figure, config=CONFIG, style={**size, **style}, clear_on_unhover=True
        ),
        className="graph",
        role="img",
        **{"aria-label": twin.caption},
    )


def numbers(twin: Twin) -> html.Details | None:
    """The text twin: a caption and a table. The table is one component, for the browser asks each
    one on the page at whatever changes anywhere on it."""
    if not twin.rows:
        return None
    names = list(twin.rows[0])
    table = {
        "caption": twin.caption,
        "head": names,
        "body": [[_text(row[name]) for name in names] for row in twin.rows],
    }
    drawn = dmc.Table(data=table, className="numbers", withRowBorders=False, captionSide="top")
    return html.Details([html.Summary("as numbers"), html.Div(drawn, className="wide", tabIndex=0)])


def _text(cell: Cell) -> str:
    return number(cell) if isinstance(cell, (int, float)) else cell
