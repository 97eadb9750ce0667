"""The server in one line."""

from __future__ import annotations

from typing import Any

from dash import html

from servelens.client import Unreachable
from servelens_dashboard.overview import Overview


def health(overview: Overview) -> list[Any]:
    if overview.error is not None:
        silent = isinstance(overview.error, Unreachable)
        return [_dot("down"), "TorchServe does not answer" if silent else "TorchServe refuses"]
    versions = [version for of_model in overview.models.values() for version in of_model]
    waiting = sum(not version.is_ready for version in versions)
    counted = f"{len(versions)} {'model' if len(versions) == 1 else 'models'}"
    if waiting:
        return [_dot("waiting"), f"{counted}, {waiting} without a worker"]
    return [_dot("up"), counted]


def _dot(state: str) -> html.Span:
    return html.Span(className=f"dot {state}", **{"aria-hidden": "true"})
