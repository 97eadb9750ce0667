"""Errors and empty places, in words."""

from __future__ import annotations

from typing import Any

from dash import html

from servelens_dashboard.troubles import Trouble


def notice(trouble: Trouble, retry: html.Button | None = None) -> html.Div:
    parts: list[Any] = [html.P(trouble.what, className="notice-what")]
    if trouble.advice:
        parts.append(html.P(trouble.advice))
    if retry is not None:
        parts.append(retry)
    return html.Div(parts, className="notice", role="alert")


def retry_this(name: Any) -> html.Button:
    """For a place whose callback knows the button by this name."""
    return html.Button("Retry", id=name, className="button", n_clicks=0)


def retry_all() -> html.Button:
    """Draws the whole page anew, whatever of it has failed; see assets/again.js."""
    return html.Button("Retry", className="button again")


def hint(text: str) -> html.P:
    return html.P(text, className="hint")
