"""The app put together: pages over a FastAPI, photos beside them, and a guard before all of it."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from servelens.client import KeyFile, Server, keys_from_environment
from servelens_dashboard import export_doors, file_doors, photo_doors
from servelens_dashboard.callbacks import (
    compare,
    explain,
    explore,
    files,
    journey,
    looks,
    models,
    panels,
    steering,
    story,
    trust,
)
from servelens_dashboard.callbacks import shell as shell_callbacks
from servelens_dashboard.components.still import still
from servelens_dashboard.desk import Desk
from servelens_dashboard.guard import Guard
from servelens_dashboard.lens import Lens
from servelens_dashboard.page import HERE, VENDORED, Page
from servelens_dashboard.settings import Settings
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.views.shell import shell
from servelens_dashboard.workshop.drawer import Drawer
from servelens_dashboard.workshop.jobs import Workshop

# For what no model is asked: longer than a busy machine takes, shorter than a person guesses.
LOOK_S, LOOK_CONNECT_S = 15.0, 3.0


def make_app(settings: Settings) -> ASGIApp:
    """All state is in what is made here: two apps in a process share nothing."""
    desk = Desk.of(open_lens(settings), settings)
    # FastAPI's own pages of documentation load scripts from a CDN.
    http = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    photo_doors.open_doors(http, desk, settings.photo_bytes)
    export_doors.open_doors(http, desk)
    drawer = Drawer(settings.files, settings.drawer_bytes, settings.file_bytes)
    workshop = Workshop(settings, desk.lens, drawer)
    file_doors.open_doors(http, desk, workshop)
    dash = Page(
        "servelens_dashboard",
        server=http,
        assets_folder=str(HERE / "assets"),
        assets_path_ignore=[VENDORED],
        title="ServeLens",
        update_title="",
        suppress_callback_exceptions=True,
        enable_mcp=False,
        serve_locally=True,
    )
    dash.layout = still(shell())
    for wiring in (
        shell_callbacks,
        steering,
        looks,
        panels,
        explain,
        trust,
        explore,
        journey,
        compare,
        models,
        story,
    ):
        wiring.register(dash, desk)
    files.register(dash, desk, workshop)
    # Else done at the first request for "/", and whoever opens another page first has no assets.
    dash._setup_server()
    return Guard(http, settings, dash.csp_hashes())


def open_lens(settings: Settings) -> Lens:
    """Keys of a file are renewed when they have run out."""
    key_file = KeyFile(settings.keys) if settings.keys else None
    keys = key_file or keys_from_environment()
    server = Server(settings.inference, settings.management, keys, settings.timeout_s)
    shelf = Shelf(settings.photos, settings.shelf_bytes, settings.photo_bytes, settings.samples)
    watched = Server(settings.inference, settings.management, keys, LOOK_S, LOOK_CONNECT_S)
    return Lens(server, shelf, settings.answer_bytes, key_file, watched)
