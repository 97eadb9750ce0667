"""What stands where an answer is awaited: how far it has come, and Cancel; or that it was stopped,
and the way on.

Cancel ends what the page asks for. What a worker has begun it finishes, so that only what comes in
parts is over then; of all else a person is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from servelens_dashboard.components.notice import hint

# What such a place has that its callback knows, and by which property it is touched.
CANCEL, GO_ON, MORE = "cancel", "go-on", "more"
TOUCHED_BY: Mapping[str, str] = {MORE: "n_intervals", CANCEL: "n_clicks", GO_ON: "n_clicks"}
NEXT_MS = 30
ONLY_THE_WAIT = "Cancel ends the wait, not the worker's work."
NOT_WAITED_FOR = (
    "Not waited for. The worker finishes what it has begun; others are answered after that."
)

# The id of one of those.
IdOf = Callable[[str], Any]


@dataclass(frozen=True)
class Touch:
    """What was touched, and whether a person has stopped what was to be seen there."""

    part: str | None
    is_stopped: bool

    @classmethod
    def of(cls, part: str | None, go_on: int | None, *, asks_anew: bool) -> Touch:
        """What was stopped stays so until Go on is pressed or something else is asked, whatever
        draws it anew."""
        return cls(part, part == CANCEL or (go_on == 0 and not asks_anew))

    @property
    def is_to_wait(self) -> bool:
        """By a person, or by the clock that follows what was to be seen first."""
        return self.part in (MORE, GO_ON)


def under_way(id_of: IdOf, told: list[Any], *, is_stopped: bool) -> html.Div:
    """Either Cancel and the clock that asks for what comes next, or a way on."""
    if is_stopped:
        button = html.Button("Go on", id=id_of(GO_ON), n_clicks=0, className="button")
        going = []
    else:
        button = html.Button("Cancel", id=id_of(CANCEL), n_clicks=0, className="button")
        going = [dcc.Interval(id=id_of(MORE), interval=NEXT_MS, max_intervals=1)]
    return html.Div([*told, button, *going], className="progress", role="status")


def as_a_whole(id_of: IdOf, what: str, *, is_stopped: bool) -> html.Div:
    """For an answer of which nothing can be seen before all of it is there; `what` says of what. It
    is only seen where it takes long."""
    bar = html.Progress(**{"aria-label": "under way"})
    told = under_way(id_of, [] if is_stopped else [bar], is_stopped=is_stopped)
    said = NOT_WAITED_FOR if is_stopped else f"{what} {ONLY_THE_WAIT}"
    return html.Div([told, hint(said)], className=None if is_stopped else "later")
