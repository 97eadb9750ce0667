"""How maps look, without a round trip: the browser recolours what it has (assets/heat.js), and
boxes what the unit under the pointer sees (assets/field.js)."""

from __future__ import annotations

from dash import MATCH, ClientsideFunction, Dash, Input, Output, State

from servelens_dashboard.desk import Desk


def register(app: Dash, desk: Desk) -> None:
    app.clientside_callback(
        ClientsideFunction("looks", "arrive"),
        Output("appearance", "data"),
        Output("pale", "checked"),
        Input("colour-tables", "data"),
        State("appearance", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("looks", "remember"),
        Input("appearance", "data"),
        Input("pale", "checked"),
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
    app.clientside_callback(
        ClientsideFunction("field", "follow"),
        Output({"heat": MATCH}, "figure", allow_duplicate=True),
        Input({"heat": MATCH}, "hoverData"),
        State({"heat": MATCH}, "figure"),
        prevent_initial_call=True,
    )
