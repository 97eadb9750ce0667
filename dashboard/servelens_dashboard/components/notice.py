"""Errors and empty places, in words."""

from __future__ import annotations

from typing import Any

from dash import html

from servelens_dashboard.troubles import Trouble


def notice(trouble: Trouble, retry: Any = None) -> html.Div:
    """`retry` is the id of the button that tries again."""
    parts: list[Any] = [html.P(trouble.what, className="notice-what")]
    if trouble.advice:
        parts.append(html.P(trouble.advice))
    if retry is not None:
        parts.append(html.Button("Retry", id=retry, className="button", n_clicks=0))
    return html.Div(parts, className="notice", role="alert")


def hint(text: str) -> html.P:
    return html.P(text, className="hint")
