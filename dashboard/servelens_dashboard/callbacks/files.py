"""Dropped files on the page Models: looked at, changed, built, and the model opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dash import ALL, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from servelens_dashboard.components.notice import notice, retry_this
from servelens_dashboard.desk import Desk
from servelens_dashboard.troubles import Trouble, tell
from servelens_dashboard.url_state import MODELS, MODELS_PATH, BadAddress, Named, View, parse
from servelens_dashboard.views import files
from servelens_dashboard.workshop.drawer import BadFile, Item
from servelens_dashboard.workshop.jobs import BUILD, Workshop
from servelens_dashboard.workshop.recipe_form import changed

HERE = (State("url", "pathname"), State("url", "search"))
LOOK_FAILED = "Bring a file that was mended; or retry, if it was not the file's fault."
GO = (
    Output("url", "pathname", allow_duplicate=True),
    Output("url", "search", allow_duplicate=True),
)


def register(app: Dash, desk: Desk, workshop: Workshop) -> None:
    @app.callback(Output("files", "children"), Input("files-ask", "data"))
    async def show_files(href: str) -> Any:
        address = urlsplit(href)
        view = _view(address.path, address.query)
        return await desk.drawn(lambda: _page(workshop, view))

    @app.callback(
        Output("file-body", "children"),
        Input("look-tick", "n_intervals"),
        *HERE,
        prevent_initial_call=True,
    )
    async def look_on(_: int, *here: str) -> Any:
        name = _view(*here).file or ""
        return await desk.drawn(lambda: _body(workshop, workshop.find(name)))

    @app.callback(
        Output("file-body", "children", allow_duplicate=True),
        Input("look-again", "n_clicks"),
        *HERE,
        prevent_initial_call=True,
    )
    async def look_anew(clicks: int, *here: str) -> Any:
        if not clicks:
            raise PreventUpdate

        def begin() -> Any:
            item = workshop.find(_view(*here).file or "")
            workshop.look_anew(item)
            return _body(workshop, item)

        return await desk.drawn(begin)

    @app.callback(
        Output("file-work", "children"),
        Input("file-build", "n_clicks"),
        State({"file-field": ALL}, "value"),
        State({"file-field": ALL}, "id"),
        *HERE,
        prevent_initial_call=True,
    )
    async def build(clicks: int, typed: list[Any], fields: list[Any], *here: str) -> Any:
        if not clicks:
            raise PreventUpdate
        view = _view(*here)
        pairs = [(field["file-field"], text) for field, text in zip(fields, typed, strict=True)]

        def begin() -> Any:
            item = workshop.find(view.file or "")
            job = workshop.build(item, changed(_recipe(workshop, item), pairs))
            return files.work(view, job)

        return await desk.drawn(begin)

    @app.callback(
        Output("file-work", "children", allow_duplicate=True),
        *GO,
        Input("build-tick", "n_intervals"),
        *HERE,
        prevent_initial_call=True,
    )
    async def watch(_: int, *here: str) -> Any:
        """Whoever sees it done is taken to the model."""
        view = _view(*here)
        job = workshop.job(BUILD, view.file or "")
        if job is None:
            raise PreventUpdate
        told = await desk.drawn(lambda: files.work(view, job))
        if job.result is None:
            return told, no_update, no_update
        opened = View("explain", (Named(job.result),), view.photo)
        return told, f"/{opened.page}", opened.search

    @app.callback(*GO, Input("file-remove", "n_clicks"), *HERE, prevent_initial_call=True)
    async def remove(clicks: int, *here: str) -> Any:
        if not clicks:
            raise PreventUpdate
        view = _view(*here)
        await desk.drawn(lambda: workshop.remove(view.file or ""))
        return MODELS_PATH, view.but(file=None).search


def _page(workshop: Workshop, view: View) -> list[Any]:
    """The zone, and the file that the address names."""
    zone = files.drop_zone(view, workshop.drawer.items(), workshop.recipes)
    if view.file is None:
        return [zone]
    try:
        item = workshop.find(view.file)
    except BadFile as error:
        return [zone, notice(tell(error))]
    job = workshop.job(BUILD, item.name)
    return [zone, files.opened(item, _body(workshop, item), files.work(view, job) if job else [])]


def _body(workshop: Workshop, item: Item) -> list[Any]:
    kept = workshop.is_dropped(item)
    if item.is_archive:
        return [*files.archive_form(item), files.buttons(item, kept)]
    job = workshop.look(item)
    if job.problem is not None:
        told = notice(Trouble(job.problem, LOOK_FAILED), retry_this("look-again"))
        return [told, files.buttons(item, kept, can_build=False)]
    if job.result is None:
        return files.waiting(job)
    return [*files.form(job.result), files.buttons(item, kept)]


def _recipe(workshop: Workshop, item: Item) -> Mapping[str, Any]:
    """With which the form began."""
    if item.is_archive:
        return {}
    return (workshop.look(item).result or {}).get("recipe", {})


def _view(pathname: str, search: str) -> View:
    try:
        return parse(pathname, search)
    except BadAddress:
        return View(MODELS)
