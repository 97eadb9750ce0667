"""Where evidence lies, against masks and maps that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from servelens_dashboard.evidence import dilated, placed, share_on, smallest_half


def test_a_map_lies_on_its_crop_and_nowhere_else() -> None:
    whole = placed(np.full((2, 2), 3.0), (10, 5, 30, 25), (40, 50))
    inside = np.zeros((40, 50), bool)
    inside[5:25, 10:30] = True
    assert whole.shape == (40, 50)
    assert np.array_equal(whole > 0, inside)
    assert share_on(whole, inside) == 1
    half = inside.copy()
    half[:, 20:] = False
    assert share_on(whole, half) == pytest.approx(0.5)


def test_a_crop_may_reach_out_of_the_photo() -> None:
    whole = placed(np.ones((4, 4)), (-5, -5, 15, 15), (10, 12))
    assert whole.shape == (10, 12)
    assert whole[:10, :12].all()


def test_only_what_speaks_for_the_class_counts() -> None:
    whole = placed(np.array([[1.0, -9.0]]), (0, 0, 2, 1), (1, 2))
    assert whole.tolist() == [[1.0, 0.0]]
    assert share_on(np.zeros((1, 2)), np.ones((1, 2), bool)) == 0


def test_the_smallest_half() -> None:
    values = np.array([[8.0, 1, 1, 1, 1, 1, 1, 1, 1, 0]])
    assert smallest_half(values) == pytest.approx(0.1)
    assert smallest_half(np.ones((10, 10))) == pytest.approx(0.5)
    assert smallest_half(np.zeros((3, 3))) == 0


def test_a_mask_grows_by_so_many_pixels() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    grown = dilated(mask, 2)
    assert grown.sum() == 25
    assert grown[2:7, 2:7].all()
