"""The strip over a page that tells the demo's story, a step at a time."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from servelens_dashboard.story import CHEAT, HONEST, STEPS, Stage, address_of
from servelens_dashboard.url_state import HOME, View


def told(stage: Stage, view: View, number: int) -> list[Any]:
    step = STEPS[number - 1]
    back = _to(stage, number - 1, "Back") if number > 1 else None
    on = _to(stage, number + 1, "Next") if number < len(STEPS) else None
    end = dcc.Link("End the story", href=view.but(story=None).href, id="story-end")
    return [
        html.P([html.Strong(f"{step.title} "), step.tell(stage)]),
        html.Small(f"{number} of {len(STEPS)}"),
        html.Nav([back, on, end], **{"aria-label": "Story"}),
    ]


def offer(stage: Stage) -> list[Any]:
    begin = dcc.Link("See it caught", href=address_of(stage, 1).href, id="story-begin")
    return [
        html.P(
            f"Of the two demo models one cheats: it has learned a mark in a corner. {len(STEPS)} "
            "steps show how that is seen."
        ),
        html.Nav([begin], **{"aria-label": "Story"}),
        html.Button("Not now", id="story-close", n_clicks=0, className="button"),
    ]


def belongs_on(view: View) -> bool:
    """Where a person arrives, and where nothing else than the demo is looked at."""
    names = {model.name for model in view.models}
    return view.page == HOME and names <= {CHEAT, HONEST}


def _to(stage: Stage, number: int, words: str) -> dcc.Link:
    return dcc.Link(words, href=address_of(stage, number).href, id=f"story-{words.lower()}")
