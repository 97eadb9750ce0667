"""What is shown, to be kept: as a picture, which the browser makes, or as a file."""

from __future__ import annotations

from dash import html

from servelens_dashboard.exports import KINDS, address, file_name
from servelens_dashboard.url_state import View


def saving(view: View, part: str) -> html.Div:
    """Stands beside the graphs that a picture is to be of; assets/exports.js finds them there."""
    name = file_name(view, part)
    files = [
        html.A(kind.title, href=address(suffix, view, part), download=f"{name}.{suffix}")
        for suffix, kind in KINDS.items()
    ]
    picture = html.Button("PNG", className="save-picture", **{"data-name": name})
    return html.Div([html.Span("Save as"), picture, *files], className="saving")
