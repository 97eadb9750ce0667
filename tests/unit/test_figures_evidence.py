"""Where the evidence lies, against shares that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol import ClassRef, InputRef, Prediction, TargetRef
from servelens_dashboard.figures import evidence
from servelens_dashboard.figures.evidence import Evidence

WHOLE = InputRef(64, 64, (0, 0, 64, 64), (64, 64))
DISC = TargetRef(0, "disc")
SURE = (Prediction(0, "disc", 0.98, 5.1), Prediction(1, "ring", 0.02, 1.0))


def box(
    left: int, top: int, right: int, bottom: int, size: tuple[int, int] = (64, 64)
) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


@given(st.integers(1, 63), st.floats(0.1, 5), st.floats(0.1, 5))
def test_the_share_on_a_mask_is_the_part_of_the_sum(edge: int, left: float, right: float) -> None:
    values = np.full((64, 64), right)
    values[:, :edge] = left
    share = Evidence.of(values, WHOLE).on(box(0, 0, edge, 64))
    assert share == pytest.approx(left * edge / (left * edge + right * (64 - edge)), rel=1e-4)


def test_what_speaks_against_the_class_is_no_evidence() -> None:
    values = np.where(box(0, 0, 32, 64), 1.0, -1000.0)
    assert Evidence.of(values, WHOLE).on(box(0, 0, 32, 64)) == pytest.approx(1)


def test_the_mask_is_the_photos_and_the_map_the_crops() -> None:
    seen = InputRef(100, 60, (20, 10, 60, 50), (224, 224))
    even = Evidence.of(np.ones((7, 7)), seen)
    # A quarter of the crop, and much that the model never saw.
    mask = box(0, 0, 40, 30, (60, 100)) | box(60, 0, 100, 60, (60, 100))
    assert even.on(mask) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="the mask is 64 by 64 pixels and the photo 100 by 60"):
        even.on(box(0, 0, 1, 1))


def test_a_photo_of_many_megapixels_is_judged_at_a_size_that_is_enough() -> None:
    seen = InputRef(6000, 4000, (1000, 0, 5000, 4000), (224, 224))
    even = Evidence.of(np.ones((7, 7)), seen)
    assert even.values.shape == (512, 512)
    assert even.on(box(1000, 0, 3000, 1000, (4000, 6000))) == pytest.approx(1 / 8, rel=1e-3)


@pytest.mark.parametrize("corner", ["upper left", "upper right", "lower left", "lower right"])
def test_evidence_in_a_corner_is_named(corner: str) -> None:
    left, top = 48 * ("right" in corner), 48 * ("lower" in corner)
    values = box(left, top, left + 16, top + 16).astype(float)
    found = Evidence.of(values, WHOLE)
    assert found.corner() == (corner, pytest.approx(1))
    said = evidence.sentence("disc, 0.98", found)
    assert said == f"disc, 0.98; 100 % of the evidence lies in the {corner} corner."
    shape = evidence.sentence("disc, 0.98", found, box(20, 20, 44, 44))
    assert (
        shape == f"disc, 0.98; 0 % of the evidence lies on the shape, 100 % in the {corner} corner."
    )


def test_the_first_sentence_that_is_seen() -> None:
    values = np.ones((64, 64)) * 29 / (64 * 64 - 32 * 32)
    values[16:48, 16:48] = 71 / 32**2
    said = evidence.sentence(
        evidence.who(DISC, SURE), Evidence.of(values, WHOLE), box(16, 16, 48, 48)
    )
    assert said == "disc, 0.98; 71 % of the evidence lies on the shape."


def test_without_a_mask_the_sentence_says_how_much_of_the_photo_it_takes() -> None:
    even = Evidence.of(np.ones((8, 8)), WHOLE)
    assert even.half() == pytest.approx(0.5, abs=1 / 64)
    assert evidence.sentence("disc", even) == (
        "disc; half of the evidence lies on 50 % of what the model saw."
    )


def test_no_evidence_is_said() -> None:
    nothing = Evidence.of(np.full((4, 4), -1.0), WHOLE)
    assert evidence.sentence("disc", nothing) == "disc; nothing in the photo speaks for it."
    assert (nothing.half(), nothing.on(box(0, 0, 9, 9)), nothing.corner()[1]) == (0, 0, 0)


def test_who_is_explained() -> None:
    versus = TargetRef(0, "disc", ClassRef(1, "ring"))
    assert evidence.who(DISC, SURE) == "disc, 0.98"
    assert evidence.who(TargetRef(4, "cross"), SURE) == "cross"
    assert evidence.who(versus, SURE) == "disc rather than ring"
    assert evidence.who(None, SURE) == "whatever the class"


def test_the_table_has_the_shares_of_the_sentence() -> None:
    values = box(48, 48, 64, 64).astype(float)
    values.flags.writeable = False
    told = evidence.tell("as said", Evidence.of(values, WHOLE), box(0, 0, 64, 64))
    assert told.caption == "as said"
    assert told.rows == (
        {"where": "where the true cause is", "share": pytest.approx(1)},
        {"where": "lower right corner", "share": pytest.approx(1)},
    )
