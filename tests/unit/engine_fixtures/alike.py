"""Whether two answers are one: all but rounding and the time that they took."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from servelens.protocol import Activation, Attribution, Cost, Document, Problem, to_wire

BESIDE_MAPS = ("weights", "ablation", "channel_ranking", "receptive_field")


def assert_same(one: Document | Problem, other: Document | Problem) -> None:
    if isinstance(other, Problem):
        assert isinstance(one, Problem)
        assert replace(one, id=None, hint=None) == replace(other, id=None, hint=None)
        return
    assert isinstance(one, Document)
    assert _without_numbers(one) == _without_numbers(other)
    for mine, others in zip(one.predictions, other.predictions, strict=True):
        assert (mine.index, mine.label) == (others.index, others.label)
        assert mine.logit == pytest.approx(others.logit, rel=1e-5, abs=1e-6)
        assert mine.probability == pytest.approx(others.probability, rel=1e-5)
    for mine, others in zip(one.attributions, other.attributions, strict=True):
        _assert_same_map(mine, others)
    for mine, others in zip(one.activations, other.activations, strict=True):
        _assert_same_activation(mine, others)
    for name in BESIDE_MAPS:
        assert_near(to_wire(getattr(one, name)), to_wire(getattr(other, name)), name)


def assert_near(one: Any, other: Any, where: str) -> None:
    """Anything on the wire: floats within rounding, all else equal."""
    if isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for key in other:
            assert_near(one[key], other[key], f"{where}.{key}")
    elif isinstance(other, list):
        assert len(one) == len(other), where
        for index, (mine, others) in enumerate(zip(one, other, strict=True)):
            assert_near(mine, others, f"{where}[{index}]")
    elif isinstance(other, np.ndarray):
        _assert_same_array(one, other)
    elif isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6), where
    else:
        assert one == other, where


def _without_numbers(answer: Document) -> Document:
    passes = Cost(answer.cost.forwards, answer.cost.backwards, {})
    nothing = dict.fromkeys(BESIDE_MAPS)
    return replace(answer, predictions=(), attributions=(), activations=(), cost=passes, **nothing)


def _assert_same_map(one: Attribution, other: Attribution) -> None:
    assert replace(one, map=None) == replace(other, map=None)
    _assert_same_array(one.map, other.map)


def _assert_same_activation(one: Activation, other: Activation) -> None:
    assert replace(one, channels=(), maps=None, statistics=None) == replace(
        other, channels=(), maps=None, statistics=None
    )
    assert [c.index for c in one.channels] == [c.index for c in other.channels]
    _assert_same_array(one.maps, other.maps)
    assert (one.statistics is None) == (other.statistics is None)
    if one.statistics is not None:
        assert asdict(one.statistics) == {
            name: pytest.approx(number, rel=1e-5, abs=1e-6) if name != "spatial_size" else number
            for name, number in asdict(other.statistics).items()
        }


def _assert_same_array(one: np.ndarray | None, other: np.ndarray | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    assert one.shape == other.shape
    assert np.abs(one - other).max(initial=0) <= 1e-5 * np.abs(other).max(initial=1e-30)
