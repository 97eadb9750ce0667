"""What a callback hears of a place that is waited for."""

from __future__ import annotations

from collections.abc import Mapping

from dash import Input, ctx
from dash.exceptions import PreventUpdate

from servelens_dashboard.components.waiting import GO_ON, TOUCHED_BY, IdOf, Touch


def touches(id_of: IdOf) -> dict[str, Input]:
    """The place's buttons and its clock, which are there only while it waits."""
    return {
        part: Input(id_of(part), counted, allow_optional=True)
        for part, counted in TOUCHED_BY.items()
    }


def touched(counts: Mapping[str, int | None], anew: str) -> Touch:
    """How often each was touched says whether one was only just drawn, which is nothing to answer.
    `anew` is the part or the id by which something else is asked."""
    which = ctx.triggered_id
    part = which["part"] if isinstance(which, dict) else which
    if part in counts and not counts[part]:
        raise PreventUpdate
    return Touch.of(part, counts.get(GO_ON), asks_anew=part == anew)
