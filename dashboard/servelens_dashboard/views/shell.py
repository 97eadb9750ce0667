"""What every page has around it: the way to the others, the server's health, the page's address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.components.looks import look_bar
from servelens_dashboard.overview import Overview
from servelens_dashboard.scene import with_others
from servelens_dashboard.url_state import COMPARE, PAGES, View
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
        # What Mantine makes letters, lines and fields of in the dark: ours, as assets/look.css.
        "dark": [
            "#e6e8ea", "#c5c9ce", "#a0a6ae", "#a0a6ae", "#373b41",
            "#2a2e33", "#1f2227", "#17191c", "#121417", "#0d0f11",
        ],
    },
}  # fmt: skip


def shell() -> dmc.MantineProvider:
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="tick", interval=PULSE_MS),
            dcc.Store(id="pulse"),
            dcc.Store(id="again"),
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
                    html.Button("?", id="show-keys", title="Keys", **{"aria-label": "Keys"}),
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


def page_links(view: View, overview: Overview) -> list[Any]:
    """To the other pages of the same model and photo; and to this one, with nothing left open."""
    links = [
        dcc.Link(
            page.capitalize(),
            href=_led_to(view, page, overview).href,
            className="here" if page == view.page else "",
        )
        for page in PAGES
    ]
    return [*links, html.A(id="permalink", href=view.href, hidden=True)]


def _led_to(view: View, page: str, overview: Overview) -> View:
    """Whoever comes to Compare from one model finds it beside others; who is there has chosen."""
    there = view.but(page=page)
    if page == COMPARE and view.page != COMPARE and len(view.models) == 1:
        return there.but(models=with_others(view.models[0], overview)).at_layer(None)
    return there
