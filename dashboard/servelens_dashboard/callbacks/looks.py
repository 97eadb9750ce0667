"""How maps look, without a round trip: the browser recolours what it has (assets/heat.js)."""

from __future__ import annotations

from dash import MATCH, ClientsideFunction, Dash, Input, Output, State

from servelens_dashboard.desk import Desk


def register(app: Dash, desk: Desk) -> None:
    app.clientside_callback(
        ClientsideFunction("looks", "arrive"),
        Output("opacity", "value"),
        Output("threshold", "value"),
        Output("colours", "value"),
        Input("colour-tables", "data"),
        State("appearance", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("looks", "choose"),
        Input("opacity", "value"),
        Input("threshold", "value"),
        Input("colours", "value"),
        State("colour-tables", "data"),
        State("appearance", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("looks", "remember"),
        Input("appearance", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
    )
    app.clientside_callback(
        ClientsideFunction("looks", "paint"),
        Output({"heat": MATCH}, "figure"),
        Input("appearance", "data"),
        State({"heat": MATCH}, "figure"),
        State("colour-tables", "data"),
    )
