"""Linear CKA against its closed forms, and against the formula as the paper writes it."""

from __future__ import annotations

import numpy as np
import pytest

from servelens.visualizer.similarity import similarities


def features(seed: int, images: int = 20, count: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, count))


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    return float(similarities([x], [y]).item())


def as_the_paper_has_it(x: np.ndarray, y: np.ndarray) -> float:
    """In the space of features: |YᵀX|² over |XᵀX| |YᵀY|."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    size = np.linalg.norm
    return float(size(y.T @ x) ** 2 / (size(x.T @ x) * size(y.T @ y)))


@pytest.mark.parametrize("counts", [(7, 7), (3, 40), (50, 1)])
def test_it_is_the_papers_formula(counts: tuple[int, int]) -> None:
    x, y = features(0, count=counts[0]), features(1, count=counts[1])
    assert linear_cka(x, y) == pytest.approx(as_the_paper_has_it(x, y), rel=1e-9)


@pytest.mark.parametrize("degrees", [0, 30, 45, 60, 90])
def test_of_one_feature_each_it_is_the_squared_cosine(degrees: float) -> None:
    """Two unit vectors of mean zero that stand at this angle."""
    one, other = np.array([1, -1, 0, 0]) / 2**0.5, np.array([0, 0, 1, -1]) / 2**0.5
    angle = np.radians(degrees)
    turned = np.cos(angle) * one + np.sin(angle) * other
    assert linear_cka(one[:, None], turned[:, None]) == pytest.approx(np.cos(angle) ** 2, abs=1e-12)


def test_rotation_scale_and_shift_make_no_difference_and_a_stretch_does() -> None:
    x = features(0)
    rotation, _ = np.linalg.qr(features(1, 7, 7))
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-12)
    stretched = x * np.array([100, *[1] * 6])
    assert linear_cka(x, stretched) < 0.9


def test_the_shape_of_a_layer_does_not_matter() -> None:
    x = np.random.default_rng(0).normal(size=(9, 4, 3, 2)).astype(np.float32)
    y = features(1, 9)
    assert linear_cka(x, y) == pytest.approx(linear_cka(x.reshape(9, -1), y), abs=1e-12)


def test_a_layer_that_is_the_same_on_every_image_is_like_nothing() -> None:
    assert np.isnan(linear_cka(np.ones((5, 3)), features(0, 5)))


def test_every_layer_is_compared_with_every_other() -> None:
    ours, theirs = [features(0), features(1)], [features(2), features(0), features(3)]
    matrix = similarities(ours, theirs)
    assert matrix.shape == (2, 3)
    for (row, column), value in np.ndenumerate(matrix):
        expected = as_the_paper_has_it(ours[row], theirs[column])
        assert value == pytest.approx(expected, abs=1e-12)
    assert matrix[0, 1] == pytest.approx(1)


def test_what_cannot_be_compared_says_why() -> None:
    with pytest.raises(ValueError, match="takes 3 images or more, not 2"):
        linear_cka(features(0, 2), features(1, 2))
    with pytest.raises(ValueError, match="features of the same images"):
        similarities([features(0, 5)], [features(0, 6)])
    with pytest.raises(ValueError, match="must have layers"):
        similarities([], [features(0)])
