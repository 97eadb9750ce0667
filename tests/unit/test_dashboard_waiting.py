"""Places that are waited for: what was touched there, and what stands there meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_fixtures.exploring import words

from servelens_dashboard.components.waiting import (
    CANCEL,
    GO_ON,
    MORE,
    NOT_WAITED_FOR,
    ONLY_THE_WAIT,
    Touch,
    as_a_whole,
    under_way,
)

ASK = "ask"


@pytest.mark.parametrize(
    ("part", "go_on", "is_stopped", "is_to_wait"),
    [
        (None, None, False, False),
        (ASK, None, False, False),
        (MORE, None, False, True),
        (CANCEL, None, True, False),
        ("theme", 0, True, False),
        (ASK, 0, False, False),
        (GO_ON, 1, False, True),
        ("theme", None, False, False),
    ],
)
def test_what_was_stopped_stays_so_until_a_person_goes_on_or_asks_something_else(
    part: str | None, go_on: int | None, is_stopped: bool, is_to_wait: bool
) -> None:
    touch = Touch.of(part, go_on, asks_anew=part == ASK)
    assert (touch.is_stopped, touch.is_to_wait) == (is_stopped, is_to_wait)


def ids(drawn: Any) -> set[str]:
    return {part.id for part in drawn._traverse() if getattr(part, "id", None)}


def test_what_is_under_way_can_be_stopped_and_what_is_stopped_goes_on_by_a_click_alone() -> None:
    assert ids(under_way(str, [], is_stopped=False)) == {CANCEL, MORE}
    assert ids(under_way(str, [], is_stopped=True)) == {GO_ON}


def test_of_what_comes_as_a_whole_it_is_said_what_cancel_does() -> None:
    going = as_a_whole(str, "A card comes as a whole.", is_stopped=False)
    assert f"A card comes as a whole. {ONLY_THE_WAIT}" in words([going])
    assert any(part._type == "Progress" for part in going._traverse() if hasattr(part, "_type"))
    stopped = as_a_whole(str, "A card comes as a whole.", is_stopped=True)
    assert NOT_WAITED_FOR in words([stopped])
    assert not [part for part in stopped._traverse() if getattr(part, "_type", "") == "Progress"]
