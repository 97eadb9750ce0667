"""The way through the network, played in the browser alone."""

from __future__ import annotations

from dash import ClientsideFunction, Dash, Input, Output, State

from servelens_dashboard.desk import Desk


def register(app: Dash, desk: Desk) -> None:
    app.clientside_callback(
        ClientsideFunction("journey", "show"),
        Output({"heat": "journey"}, "figure", allow_duplicate=True),
        Output("journey-words", "children"),
        Input("journey-step", "value"),
        State("journey-frames", "data"),
        State("appearance", "data"),
        State("colour-tables", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("journey", "turn"),
        Output("journey-step", "value"),
        Output("journey-clock", "disabled"),
        Output("journey-play", "children"),
        Input("journey-play", "n_clicks"),
        Input("journey-clock", "n_intervals"),
        State("journey-step", "value"),
        State("journey-frames", "data"),
        State("journey-clock", "disabled"),
        prevent_initial_call=True,
    )
