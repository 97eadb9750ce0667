"""How maps look: changed in the browser alone, for every map on the page."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.figures.recolouring import AS_USUAL, COLOURS, tables
from servelens_dashboard.url_state import OWN, SHARED, View

USUAL = "usual"


def look_bar() -> html.Div:
    """Outside of the pages, so that a look once chosen stays. The browser's own controls, which
    assets/looks.js hears at once."""
    colours = [(USUAL, "Colours as usual"), *((name, kind.title) for name, kind in COLOURS.items())]
    return html.Div(
        [
            dcc.Store(id="colour-tables", data=tables()),
            dcc.Store(id="appearance", data=AS_USUAL.to_wire()),
            _slider("opacity", "Opacity"),
            _slider("threshold", "Hide below"),
            html.Select(
                [html.Option(title, value=name) for name, title in colours],
                id="colours",
                **{"aria-label": "Colours"},
            ),
            dmc.Switch(id="pale", label="Pale photo", checked=True, size="xs"),
            html.Button("Copy link", id="copy-link", className="button"),
        ],
        className="look",
    )


def _slider(name: str, label: str) -> html.Div:
    """Its place, for Dash has none that is the browser's own and nothing else."""
    place = html.Span(**{"data-slider": name})
    return html.Div([html.Label(label, htmlFor=name), place], className="slider")


def scale_links(view: View) -> list[dcc.Link]:
    """Whether methods beside each other have each their own scale, or all one."""
    words = ((OWN, "each its own scale"), (SHARED, "one scale"))
    return [
        dcc.Link(
            text, href=view.but(scale=scale).href, className="here" if view.scale == scale else ""
        )
        for scale, text in words
    ]
