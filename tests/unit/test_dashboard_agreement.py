"""What several models make of one photo, by numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from servelens.client import Prediction
from servelens.protocol import InputRef
from servelens_dashboard.agreement import overlap, same_places, verdict
from servelens_dashboard.figures.evidence import Evidence

SEEN = InputRef(2, 2, (0, 0, 2, 2), (2, 2))


def says(label: str, probability: float = 0.9) -> list[Prediction]:
    return [Prediction(0, label, probability, 1.0)]


def evidence(*values: float) -> Evidence:
    return Evidence(np.array(values, float).reshape(2, 2), SEEN)


def test_agreement_is_said_and_so_is_its_lack() -> None:
    assert verdict({"a": says("disc"), "b": says("disc", 0.6)}) == "Both models say disc."
    assert verdict({"a": says("disc"), "b": says("ring", 0.6)}) == (
        "They disagree: a says disc (0.9), b says ring (0.6)."
    )
    assert verdict({"a": says("disc")}) == "a says disc (0.9)."
    assert verdict({"a": []}) == ""


def test_overlap_is_what_both_have_in_the_same_places() -> None:
    assert overlap(evidence(1, 0, 0, 0), evidence(7, 0, 0, 0)) == 1
    assert overlap(evidence(1, 0, 0, 0), evidence(0, 1, 0, 0)) == 0
    assert overlap(evidence(1, 1, 0, 0), evidence(0, 3, 1, 0)) == pytest.approx(0.5)
    assert overlap(evidence(0, 0, 0, 0), evidence(1, 1, 1, 1)) == 0


def test_only_maps_of_one_size_are_laid_over_each_other() -> None:
    small = Evidence(np.ones((1, 1)), SEEN)
    assert same_places({"a": evidence(1, 0, 0, 0), "b": small}) == ""
    told = same_places({"a": evidence(1, 1, 0, 0), "b": evidence(0, 1, 1, 0), "c": small})
    assert told == "Where a has its evidence lies 50 % of b's."
