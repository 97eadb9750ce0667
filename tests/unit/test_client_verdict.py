"""What a trust card says in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.client import verdict


@dataclass(frozen=True)
class Card:
    deletion_auc: float | None = None
    insertion_auc: float | None = None
    random_deletion_auc: float | None = None
    random_insertion_auc: float | None = None
    stability: float | None = None
    sanity: float | None = None
    mass: float | None = None


def said(score: float = 1.0, **numbers: float) -> str:
    return verdict.sentence(verdict.findings(Card(**numbers), score))


def test_a_card_is_one_plain_sentence() -> None:
    assert said(0.98, deletion_auc=0.16, random_deletion_auc=0.78, sanity=0.1) == (
        "Removing what it marks drops the score 4.1 times faster than removing at random: good; "
        "after randomising the weights the map changes: good."
    )


@pytest.mark.parametrize(
    ("marked", "random", "words"),
    [
        (0.5, 0.75, "2.0 times faster than removing at random: good"),
        (0.1, 0.98, "over 20 times faster than removing at random: good"),
        (0.5, 0.5, "no faster than removing at random: bad"),
        (0.9, 0.5, "slower than removing at random: bad"),
        (1.0, 0.5, "removing what it marks does not drop the score: bad"),
        (0.5, 1.0, "drops the score, removing at random does not: good"),
    ],
)
def test_how_fast_a_score_drops(marked: float, random: float, words: str) -> None:
    assert words in said(deletion_auc=marked, random_deletion_auc=random).lower()


@given(st.floats(0.05, 0.95), st.floats(0.0, 0.95), st.floats(0.0, 0.95))
def test_a_map_that_is_no_better_than_chance_is_never_called_good(
    score: float, marked: float, random: float
) -> None:
    (found,) = verdict.findings(Card(deletion_auc=marked, random_deletion_auc=random), score)
    if marked >= random:
        assert found.good is False


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"sanity": 0.93}, "the map stays much the same (0.93 alike): bad"),
        ({"sanity": -0.9}, "the map stays much the same (-0.9 alike): bad"),
        ({"stability": 0.9}, "the map stays the same: good"),
        ({"stability": 0.2}, "the map becomes another (0.2 alike): bad"),
        ({"insertion_auc": 0.5, "random_insertion_auc": 0.5}, "back no sooner than showing at"),
        ({"insertion_auc": 0.8, "random_insertion_auc": 0.5}, "back sooner than showing at random"),
        ({"mass": 0.714}, "71 % of the evidence lies on the true cause."),
        ({}, "No check was made on this map."),
        ({"deletion_auc": 0.1}, "No check was made on this map."),
    ],
)  # fmt: skip
def test_each_check_is_said_and_judged(numbers: dict[str, float], words: str) -> None:
    assert words in said(**numbers)
