"""The rule by which a default method is chosen, on cards written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from servelens.protocol.capability import Judged
from servelens_archives.choosing import choose


def card(deletion: float = 0.3, insertion: float = 0.3, **numbers: float) -> dict[str, float]:
    """Both gain this much on a random map."""
    return {
        "deletion_auc": 0.5 - deletion,
        "random_deletion_auc": 0.5,
        "insertion_auc": 0.5 + insertion,
        "random_insertion_auc": 0.5,
        "stability": 0.9,
        "sanity": 0.1,
        **numbers,
    }


def judged(method: str, cards: Any) -> Judged:
    return next(one for one in choose(cards).judged if one.method == method)


def test_numbers_are_means_over_the_photos_and_the_score_is_their_mean() -> None:
    cards = {"saliency": [card(0.1, 0.3), card(0.2, 0.5, pointing=1.0, mass=0.4)]}
    found = judged("saliency", cards)
    assert (found.deletion_gain, found.insertion_gain) == (0.15, 0.4)
    assert (found.pointing, found.mass) == (1.0, 0.4)
    assert found.score == pytest.approx((0.15 + 0.4 + 1.0 + 0.4) / 4, abs=6e-4)
    assert (found.stability, found.sanity, found.out) == (0.9, 0.1, None)


def test_the_best_is_chosen_and_told_with_its_score() -> None:
    found = choose({"grad_cam": [card(0.2, 0.2)], "saliency": [card(0.3, 0.3)]})
    assert found.chosen == "saliency"
    assert [one.method for one in found.judged] == ["saliency", "grad_cam"]
    assert found.why == "saliency scores 0.3, the best of 2 methods that passed."


@pytest.mark.parametrize(
    ("spoilt", "out"),
    [
        (card(0.4, -0.5), "no better than a random map (gain -0.05)"),
        (card(0.9, 0.9, stability=0.49), "slight noise changes it (stability 0.49)"),
        (card(0.9, 0.9, sanity=0.51), "random weights draw it too (sanity 0.51)"),
        ({}, "no better than a random map (gain 0)"),
    ],
)
def test_who_fails_a_gate_is_out_and_told_so_whatever_its_score(spoilt: Any, out: str) -> None:
    found = choose({"grad_cam": [spoilt], "saliency": [card(0.01, 0.01)]})
    assert found.chosen == "saliency"
    assert found.judged[-1].out == out
    assert found.why.endswith(f" Out: grad_cam, {out}.")


def test_at_the_bounds_of_the_gates_a_method_passes() -> None:
    assert judged("lrp", {"lrp": [card(stability=0.5, sanity=0.5)]}).out is None


def test_of_those_that_are_as_good_the_usual_one_is_chosen_else_the_first_by_name() -> None:
    close = {"a_cam": [card(0.305, 0.305)], "b_cam": [card(0.305, 0.305)]}
    assert choose(close).chosen == "a_cam"
    found = choose({**close, "grad_cam": [card(0.3, 0.3)]})
    assert found.chosen == "grad_cam"
    assert found.why == (
        "grad_cam scores 0.3, within 0.01 of the best of 3 methods that passed, as do a_cam, b_cam."
    )
    assert choose({**close, "grad_cam": [card(0.295, 0.295)]}).chosen == "a_cam"


def test_a_map_without_a_number_that_others_have_counts_as_nothing() -> None:
    """Else whoever gives up on hard photos would be judged by the easy ones alone."""
    cards = {"bold": [card(0.3, 0.3), card(0.2, 0.2)], "shy": [card(0.4, 0.4), {}]}
    assert judged("shy", cards).score == 0.2
    assert choose(cards).chosen == "bold"


def test_masks_of_some_photos_count_on_those_alone() -> None:
    cards = {"grad_cam": [card(mass=0.8), card()], "saliency": [card(mass=0.2), card()]}
    assert [judged(name, cards).mass for name in cards] == [0.8, 0.2]


def test_where_answers_are_no_probabilities_masks_alone_decide() -> None:
    found = choose({"a": [{"mass": 0.2, "pointing": 0.0}], "b": [{"mass": 0.6, "pointing": 1.0}]})
    assert found.chosen == "b" and found.judged[0].score == 0.8


def test_where_nothing_can_be_judged_none_is_chosen() -> None:
    found = choose({"grad_cam": [{}], "saliency": [{}]})
    assert found.chosen is None
    assert found.why == (
        "no method passed. Out: grad_cam, none of its maps could be judged; "
        "saliency, none of its maps could be judged."
    )


def test_without_candidates_none_is_chosen() -> None:
    found = choose({})
    assert (found.chosen, found.judged) == (None, ())
    assert found.why == "this model supports no candidate."
