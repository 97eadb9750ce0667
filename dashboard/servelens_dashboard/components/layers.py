"""The network as a tree of links: stages that open, layers that are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from servelens_dashboard.url_state import View

NO_STAGE = "other layers"


def layer_tree(capability: Mapping[str, Any], view: View) -> html.Nav:
    """The chosen layer's stage is open. What has no map, such as a linear layer, is no link."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for layer in capability["layers"]:
        stages.setdefault(layer["stage"] or NO_STAGE, []).append(layer)
    return html.Nav(
        [
            html.Details(
                [
                    html.Summary(stage),
                    html.Ul([html.Li(_layer(layer, view)) for layer in layers]),
                ],
                open=any(layer["name"] == view.layer for layer in layers),
            )
            for stage, layers in stages.items()
        ],
        className="layer-tree",
        **{"aria-label": "Layers"},
    )


def _layer(layer: Mapping[str, Any], view: View) -> Any:
    chosen = layer["name"] == view.layer
    text = [layer["name"], html.Small(f" {layer['type']}")]
    if not layer["shape"] or len(layer["shape"]) != 3:
        return html.Span(text, className="hint")
    return dcc.Link(
        text,
        href=view.at_layer(layer["name"]).href,
        className="here" if chosen else "",
    )
