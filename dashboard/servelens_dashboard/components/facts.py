"""A few names with what they are."""

from __future__ import annotations

from collections.abc import Mapping

from dash import html


def fact_table(facts: Mapping[str, str]) -> html.Table:
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(text)]) for name, text in facts.items()]
    return html.Table(html.Tbody(rows), className="facts")
