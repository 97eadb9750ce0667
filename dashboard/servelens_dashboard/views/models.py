"""The page Models: what the server has, and what can be done to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Version, Worker
from servelens_dashboard.components.notice import hint, notice
from servelens_dashboard.figures.look import number
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.running import MOST_WORKERS, archives
from servelens_dashboard.settings import Settings
from servelens_dashboard.troubles import tell
from servelens_dashboard.url_state import Named, View

HEAD = ("model", "version", "state", "workers", "device", "memory", "queue", "archive", "")
MEGABYTE = 1e6


def page(view: View, lens: Lens, settings: Settings) -> list[Any]:
    return [
        html.Div(
            [
                html.Div(table(view, lens.overview()), id="models-table", className="wide tall"),
                html.Div(id="models-told", role="status"),
                dcc.Store(id="deed"),
                html.Div(id="files"),
                dcc.Store(id="files-ask", data=view.href),
                _register_form(archives(settings)),
                html.Div([html.H2("The server"), html.Div(id="gauges")]),
            ],
            className="stage alone",
        )
    ]


def table(view: View, overview: Overview) -> Any:
    if overview.error is not None:
        return notice(tell(overview.error))
    if not overview.models:
        return hint("No model is registered yet. Register one from the server's store:")
    rows = [
        _row(view, version, place == 0)
        for versions in overview.models.values()
        for place, version in enumerate(versions)
    ]
    return html.Table(
        [
            html.Caption("Registered models", className="visually-hidden"),
            html.Thead(html.Tr([html.Th(name, scope="col") for name in HEAD])),
            html.Tbody(rows),
        ],
        className="models",
    )


def _row(view: View, version: Version, default: bool) -> html.Tr:
    named = Named(version.name, None if default else version.version)
    opened = View("explain", (named,), view.photo)
    return html.Tr(
        [
            html.Th(dcc.Link(version.name, href=opened.href), scope="row"),
            html.Td([version.version, html.Small(" default") if default else ""]),
            html.Td(_state(version), className="state"),
            html.Td(_workers(version), className="figure"),
            html.Td(_device(version)),
            html.Td(_memory(version), className="figure"),
            html.Td(_queue(version), className="figure"),
            html.Td(version.archive),
            html.Td(list(_deeds(version, default)), className="deeds"),
        ]
    )


def _state(version: Version) -> list[Any]:
    states = sorted({worker.status.lower().replace("_", " ") for worker in version.workers})
    kind = "up" if version.is_ready else "waiting"
    dot = html.Span(className=f"dot {kind}", **{"aria-hidden": "true"})
    return [dot, f" {', '.join(states) or 'no worker'}"]


def _workers(version: Version) -> list[Any]:
    count = len(version.workers)
    return [
        _button(version, "remove", "−", "One worker fewer", disabled=count == 0),
        html.Span(f" {count} "),
        _button(version, "add", "+", "One worker more", disabled=count >= MOST_WORKERS),
    ]


def _device(version: Version) -> str:
    if any(worker.gpu for worker in version.workers):
        usages = {str(worker.more.get("gpuUsage", "GPU")) for worker in version.workers}
        return ", ".join(sorted(usages))
    return str(version.more.get("deviceType", "cpu")).upper()


def _memory(version: Version) -> list[Any]:
    """Of each worker."""
    return [html.Div(_worker_memory(worker)) for worker in version.workers] or ["none"]


def _worker_memory(worker: Worker) -> str:
    used = worker.memory_bytes
    return f"{number(used / MEGABYTE)} MB" if used else "not known"


def _queue(version: Version) -> str:
    waiting = version.more.get("jobQueueStatus", {}).get("pendingRequests")
    return "not known" if waiting is None else f"{waiting} waiting"


def _deeds(version: Version, default: bool) -> Iterator[Any]:
    if not default:
        title = "Make default what is asked without a version"
        yield _button(version, "default", "Make default", title)
    name = f"{version.name} {version.version}"
    yield html.Details(
        [
            html.Summary("Unregister…"),
            html.P(f"This ends the workers of {name}. Its archive stays in the store."),
            _button(version, "unregister", f"Unregister {name}", ""),
        ]
    )


def _button(version: Version, deed: str, text: str, title: str, **more: Any) -> html.Button:
    words = f"{title}: {version.name} {version.version}" if title else text
    return html.Button(
        text,
        id={"do": deed, "model": str(Named(version.name, version.version))},
        title=words,
        n_clicks=0,
        className="button",
        **{"aria-label": words},
        **more,
    )


def _register_form(known: list[str]) -> html.Div:
    """From the store alone; where it is elsewhere, its archives are typed."""
    if known:
        archive = dmc.Select(
            id="register-archive", label="Archive of the store", data=known, searchable=True
        )
    else:
        archive = dmc.TextInput(
            id="register-archive", label="Archive of the store", placeholder="shapes.mar"
        )
    return html.Div(
        [
            html.H2("Register from the server's store"),
            html.Div(
                [
                    archive,
                    dmc.TextInput(id="register-name", label="Name", placeholder="as the archive"),
                    dmc.NumberInput(
                        id="register-workers", label="Workers", value=1, min=0, max=MOST_WORKERS
                    ),
                    html.Button("Register", id="register", n_clicks=0, className="button"),
                ],
                className="register",
            ),
        ]
    )
