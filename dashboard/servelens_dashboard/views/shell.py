"""What every page has around it: the way to the others, the server's health, the page's address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.components.looks import look_bar
from servelens_dashboard.url_state import PAGES, View
from servelens_dashboard.views.keys import key_list

PULSE_MS = 3000
# Names of components, each with its properties that are others now.
News = Sequence[tuple[Any, Mapping[str, Any]]]
THEME = {
    "primaryColor": "accent",
    "primaryShade": {"light": 7, "dark": 4},
    "defaultRadius": 4,
    "fontFamily": "system-ui, sans-serif",
    "colors": {
        "accent": [
            "#eef4fb", "#d9e5f4", "#b3cae8", "#a0c0e8", "#8ab4e8",
            "#5387cc", "#477fca", "#2f66a8", "#2b5b97", "#1f4c82",
        ],
    },
}  # fmt: skip


def shell() -> dmc.MantineProvider:
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="tick", interval=PULSE_MS),
            dcc.Store(id="pulse"),
            dcc.Store(id="theme"),
            dcc.Store(id="story-closed", storage_type="local"),
            html.A("Skip to the page", href="#page", className="skip"),
            html.Header(
                [
                    html.Strong("ServeLens", className="brand"),
                    html.Nav(id="pages", **{"aria-label": "Pages"}),
                    html.Div(id="health", role="status"),
                    dmc.ColorSchemeToggle(
                        id="scheme",
                        lightIcon="☀",
                        darkIcon="☾",
                        variant="subtle",
                        color="gray",
                        attributes={"root": {"aria-label": "Light or dark"}},
                    ),
                ]
            ),
            html.Section(id="story", **{"aria-label": "The demo's story", "aria-live": "polite"}),
            html.Main(id="page", tabIndex="-1"),
            html.Div(id="working", role="status"),
            look_bar(),
            key_list(),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def page_links(view: View) -> list[Any]:
    """To the other pages of the same model and photo; and to this one, with nothing left open."""
    links = [
        dcc.Link(
            page.capitalize(),
            href=view.but(page=page).href,
            className="here" if page == view.page else "",
        )
        for page in PAGES
    ]
    return [*links, html.A(id="permalink", href=view.href, hidden=True)]
