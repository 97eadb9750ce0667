"""Predictions before and after, with a bar for each and what has changed."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from servelens_dashboard.figures.knockout import Change
from servelens_dashboard.figures.look import chance

HEAD = ("class", "before", "after", "logit change")


def change_table(changes: Sequence[Change], words: str) -> html.Table:
    return html.Table(
        [
            html.Caption(words, className="visually-hidden"),
            html.Thead(html.Tr([html.Th(name, scope="col") for name in HEAD])),
            html.Tbody([_row(change) for change in changes]),
        ],
        className="changes",
    )


def _row(change: Change) -> html.Tr:
    before, after = change.before.probability, change.after.probability
    bars = [
        html.Div(className=f"bar {name}", style={"width": f"{share:.2%}"})
        for name, share in (("before", before), ("after", after))
    ]
    return html.Tr(
        [
            html.Th([change.before.label, *bars], scope="row"),
            html.Td(chance(before)),
            html.Td([chance(after), html.Small(f" {change.probability}")]),
            html.Td(change.logit),
        ]
    )
