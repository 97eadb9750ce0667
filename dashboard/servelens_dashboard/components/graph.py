"""A figure as it stands on a page: with a sentence, and its numbers as a table a click away."""

from __future__ import annotations

from typing import Any

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
    """The text twin: a caption and a table."""
    if not twin.rows:
        return None
    names = list(twin.rows[0])
    return html.Details(
        [
            html.Summary("as numbers"),
            html.Div(
                html.Table(
                    [
                        html.Caption(twin.caption),
                        html.Thead(html.Tr([html.Th(name, scope="col") for name in names])),
                        html.Tbody(
                            [
                                html.Tr([html.Td(_text(row[name])) for name in names])
                                for row in twin.rows
                            ]
                        ),
                    ],
                    className="numbers",
                ),
                className="wide",
                tabIndex=0,
            ),
        ]
    )


def _text(cell: Cell) -> str:
    return number(cell) if isinstance(cell, (int, float)) else cell
