"""What is shown, to be kept: as a picture, which the browser makes, as a file, or as the call that
it is the answer to. What of that there is, is declared in export_parts.py."""

from __future__ import annotations

from dash import html

from servelens_dashboard.export_parts import PARTS
from servelens_dashboard.exports import CALLS, FILES, KINDS, address, file_name
from servelens_dashboard.snippets import SNIPPETS
from servelens_dashboard.url_state import View


def saving(view: View, name: str) -> html.Div:
    """Stands beside the graphs that a picture is to be of; assets/exports.js finds them there."""
    return html.Div([_files(view, name)], className="saving")


def keeping(view: View, name: str) -> html.Div:
    """The same, and the call that it is the answer to; of several models that of each."""
    return html.Div([_files(view, name), *_calls(view, name)], className="saving")


def folded(view: View, name: str) -> html.Details:
    """The same a click away, of what is not the first thing on its page."""
    return html.Details([html.Summary("save or copy"), keeping(view, name)], className="folded")


def copying(view: View, name: str) -> html.Div:
    """The call alone, of what is not there to be saved as a whole."""
    return html.Div(_calls(view, name), className="copies")


def _files(view: View, name: str) -> html.Span:
    part = PARTS[view.page][name]
    view = part.narrowed(view)
    stem = file_name(view, name)
    picture = html.Button("PNG", className="save-picture", **{"data-name": stem})
    files = [
        html.A(KINDS[kind].title, href=address(FILES, kind, view, name), download=f"{stem}.{kind}")
        for kind in part.formats
    ]
    return html.Span(["Save as", *([picture] if part.is_picture else []), *files])


def _calls(view: View, name: str) -> list[html.Span]:
    """The texts are fetched when they are wanted; see assets/calls.js."""
    view = PARTS[view.page][name].narrowed(view)
    several = len(view.models) > 1
    return [
        _copies(f"Copy {model} as" if several else "Copy as", view.but(models=(model,)), name)
        for model in view.models
    ]


def _copies(words: str, view: View, name: str) -> html.Span:
    buttons = [
        html.Button(
            snippet.title,
            className="copy-call",
            **{
                "data-call": address(CALLS, kind, view, name),
                "aria-label": f"{words} {snippet.title}",
            },
        )
        for kind, snippet in SNIPPETS.items()
    ]
    return html.Span([words, *buttons])
