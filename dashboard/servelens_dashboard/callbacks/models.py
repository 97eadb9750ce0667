"""The page Models: a table that is looked at again and again, and what its buttons do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from servelens.client import ClientError
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.written import written
from servelens_dashboard.desk import Desk
from servelens_dashboard.gauges import Gauges
from servelens_dashboard.running import DEEDS
from servelens_dashboard.running import register as register_model
from servelens_dashboard.url_state import MODELS_PATH, BadAddress, View, parse, parse_named
from servelens_dashboard.views import models, server
from servelens_dashboard.watch import Watch

WAIT = "Working on it; a worker takes some seconds to start."
HERE = (State("url", "pathname"), State("url", "search"))
TOLD = (
    Output("models-told", "children", allow_duplicate=True),
    Output("models-table", "children", allow_duplicate=True),
)


def register(app: Dash, desk: Desk) -> None:
    gauges = Watch(lambda: _figures(desk.settings.metrics))

    @app.callback(
        Output("models-table", "children"),
        Input("tick", "n_intervals"),
        State("models-table", "children"),
        *HERE,
        prevent_initial_call=True,
    )
    async def look(_: int, shown: Any, pathname: str, search: str) -> Any:
        """A table that says the same is left alone, with what a person has open in it."""
        overview = await desk.run(desk.lens.overview)
        table = models.table(_view(pathname, search), overview)
        if json.loads(written(table)) == shown:
            raise PreventUpdate
        return table

    @app.callback(Output("gauges", "children"), Input("tick", "n_intervals"), HERE[0])
    async def measure(_: int, pathname: str) -> Any:
        if pathname != MODELS_PATH:
            raise PreventUpdate
        return await desk.drawn(gauges.now)

    async def done(deed: Callable[[], str], pathname: str, search: str) -> Any:
        """What a deed has come to, and the table after it."""
        told = await desk.drawn(lambda: hint(deed()))
        overview = await desk.run(desk.lens.look_again)
        return told, models.table(_view(pathname, search), overview)

    # Buttons that are only just drawn are told of as well, for which nobody need wait.
    app.clientside_callback(
        ClientsideFunction("asks", "clicked"),
        Output("deed", "data"),
        Input({"do": ALL, "model": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )

    @app.callback(
        *TOLD,
        Input("deed", "data"),
        *HERE,
        prevent_initial_call=True,
        running=[(Output("working", "children"), WAIT, "")],
    )
    async def do(wanted: dict[str, str] | None, pathname: str, search: str) -> Any:
        if not wanted or wanted["do"] not in DEEDS:
            raise PreventUpdate
        deed, model = DEEDS[wanted["do"]], wanted["model"]
        return await done(
            lambda: deed(desk.lens, desk.settings, parse_named(model)), pathname, search
        )

    @app.callback(
        *TOLD,
        Input("register", "n_clicks"),
        State("register-archive", "value"),
        State("register-name", "value"),
        State("register-workers", "value"),
        *HERE,
        prevent_initial_call=True,
        running=[(Output("working", "children"), WAIT, "")],
    )
    async def register_one(
        clicks: int, archive: str | None, name: str | None, workers: Any, *here: str
    ) -> Any:
        if not clicks:
            raise PreventUpdate
        wanted = archive or "", name or "", workers if isinstance(workers, int) else 1
        return await done(lambda: register_model(desk.lens, desk.settings, *wanted), *here)


def _figures(url: str) -> list[Any]:
    try:
        return server.figures(Gauges.at(url))
    except ClientError as error:
        return server.silent(error)


def _view(pathname: str, search: str) -> View:
    try:
        return parse(pathname, search)
    except BadAddress:
        return View()
