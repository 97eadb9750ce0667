"""How maps look: changed in the browser alone, for every map on the page."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.figures.recolouring import AS_USUAL, COLOURS, tables
from servelens_dashboard.url_state import OWN, SHARED, View

USUAL = "usual"


def look_bar() -> html.Div:
    """Outside of the pages, so that a look once chosen stays."""
    colours = [{"value": name, "label": kind.title} for name, kind in COLOURS.items()]
    return html.Div(
        [
            dcc.Store(id="colour-tables", data=tables()),
            dcc.Store(id="appearance", data=AS_USUAL.to_wire()),
            _slider("opacity", "Opacity", AS_USUAL.opacity),
            _slider("threshold", "Hide below", AS_USUAL.threshold),
            dmc.Select(
                id="colours",
                data=[{"value": USUAL, "label": "Colours as usual"}, *colours],
                value=USUAL,
                allowDeselect=False,
                size="xs",
                attributes={"input": {"aria-label": "Colours"}},
            ),
            dmc.Switch(id="pale", label="Pale photo", checked=True, size="xs"),
            html.Button("Copy link", id="copy-link", className="button"),
        ],
        className="look",
    )


def _slider(name: str, label: str, value: float) -> html.Div:
    return html.Div(
        [
            html.Label(label, id=f"{name}-label"),
            dmc.Slider(
                id=name,
                min=0,
                max=1,
                step=0.01,
                value=value,
                updatemode="drag",
                size="sm",
                label=None,
                thumbLabel=label,
            ),
        ],
        className="slider",
    )


def scale_links(view: View) -> list[dcc.Link]:
    """Whether methods beside each other have each their own scale, or all one."""
    words = ((OWN, "each its own scale"), (SHARED, "one scale"))
    return [
        dcc.Link(
            text, href=view.but(scale=scale).href, className="here" if view.scale == scale else ""
        )
        for scale, text in words
    ]
