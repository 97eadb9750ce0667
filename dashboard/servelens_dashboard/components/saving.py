"""What is shown, to be kept: as a picture, which the browser makes, as a file, or as the call that
it is the answer to."""

from __future__ import annotations

from typing import Any

from dash import html

from servelens_dashboard.exports import CALLS, FILES, KINDS, address, file_name
from servelens_dashboard.snippets import SNIPPETS
from servelens_dashboard.url_state import View


def saving(view: View, part: str) -> html.Div:
    """Stands beside the graphs that a picture is to be of; assets/exports.js finds them there."""
    return html.Div(_files(view, part), className="saving")


def keeping(view: View, part: str) -> html.Div:
    """The same, and the call that all of it is the answer to."""
    return html.Div([*_files(view, part), *_calls(view, part)], className="saving")


def copying(view: View, part: str) -> html.Div:
    """The call alone, of what is not there to be saved as a whole."""
    return html.Div(_calls(view, part), className="copies")


def _files(view: View, part: str) -> list[Any]:
    name = file_name(view, part)
    files = [
        html.A(kind.title, href=address(FILES, suffix, view, part), download=f"{name}.{suffix}")
        for suffix, kind in KINDS.items()
    ]
    picture = html.Button("PNG", className="save-picture", **{"data-name": name})
    return [html.Span("Save as"), picture, *files]


def _calls(view: View, part: str) -> list[Any]:
    """The texts are fetched when they are wanted; see assets/calls.js."""
    buttons = [
        _call(snippet.title, address(CALLS, kind, view, part)) for kind, snippet in SNIPPETS.items()
    ]
    return [html.Span("Copy as"), *buttons]


def _call(title: str, there: str) -> html.Button:
    told = {"data-call": there, "aria-label": f"Copy as {title}"}
    return html.Button(title, className="copy-call", **told)
