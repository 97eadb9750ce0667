"""Whether a map is to be believed: a sentence first, the verdicts at a glance, then the curves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from dash import dcc, html

from servelens.client import Attribution, verdict
from servelens.client.verdict import Finding
from servelens.protocol import TrustCard
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.saving import folded
from servelens_dashboard.components.waiting import as_a_whole
from servelens_dashboard.figures import curves
from servelens_dashboard.figures.curves import Curves
from servelens_dashboard.figures.evidence import coarser
from servelens_dashboard.figures.look import Theme
from servelens_dashboard.url_state import View, parse_entry

# In forward passes: what costs more is only checked when a person asks for it.
CHEAP = 10
CARD, WANTED, ASK, CHECK = "card", "card-wanted", "card-ask", "check"


def place(name: str, method: Mapping[str, Any], ask: Mapping[str, str]) -> html.Div:
    """Where a panel's card will be. What is wanted is asked for once the map is there, for a card
    takes some sixty images more, and a worker does one thing after the other."""
    return html.Div(
        [
            html.Div(id=card_id(name), className="trust"),
            dcc.Store(id=wanted_id(name), data=wanted(method, ask)),
            dcc.Store(id={"panel": name, "part": ASK}),
        ]
    )


def wanted(method: Mapping[str, Any], ask: Mapping[str, str]) -> dict[str, Any]:
    return {**ask, "cheap": method.get("relative_cost", 0) <= CHEAP}


def card_id(name: str) -> dict[str, str]:
    return {"panel": name, "part": CARD}


def wanted_id(name: str) -> dict[str, str]:
    return {"panel": name, "part": WANTED}


def offer(name: str) -> html.Button:
    return html.Button(
        "Check this map", id={"panel": name, "part": CHECK}, n_clicks=0, className="button"
    )


def wait_id(name: Any, part: str) -> dict[str, Any]:
    """Of what a card that is waited for has."""
    return {"panel": name, "of": CARD, "part": part}


def waiting(name: str, *, is_stopped: bool) -> html.Div:
    what = "The map is being checked: it is made once more, and so are some to set it against."
    return as_a_whole(partial(wait_id, name), what, is_stopped=is_stopped)


def card(view: View, name: str, shown: Attribution, theme: Theme) -> list[Any]:
    """Nothing under a map that is not there, for it says why itself."""
    found = shown.trust
    if found is None:
        return []
    score = found.curves.deletion[0] if found.curves else 0.0
    findings = verdict.findings(found, score)
    return [
        html.H3("Is it to be believed?"),
        html.P(verdict.sentence(findings), className="judgement"),
        hint(f"It is judged by a map {coarser(shown.coarsened)}") if shown.coarsened else None,
        html.Ul([_line(finding) for finding in findings], className="findings"),
        *_curves(name, found, theme),
        _not_checked(found),
        folded(view.but(methods=(parse_entry(name),)), "card"),
    ]


def _line(finding: Finding) -> html.Li:
    kind = {True: "good", False: "bad", None: "open"}[finding.good]
    return html.Li([f"{finding.check} ", html.Strong(finding.verdict, className=kind)])


def _curves(name: str, found: TrustCard, theme: Theme) -> list[Any]:
    if found.curves is None:
        return []
    drawn = Curves(**vars(found.curves))
    twin = curves.tell(drawn)
    figure = curves.draw(drawn, theme)
    return [graph(figure, twin, {"panel": name, "part": "curves"}), numbers(twin)]


def _not_checked(found: TrustCard) -> html.Details | None:
    reasons = verdict.not_checked(found, found.compared_with)
    if not reasons:
        return None
    return html.Details(
        [html.Summary("not checked"), html.Ul([html.Li(reason) for reason in reasons])]
    )
