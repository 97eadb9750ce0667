"""Every method through a real server, all in one request and each alone."""

from __future__ import annotations

import numpy as np
import pytest
from lens_caller import Lens, form
from lens_pictures import photo

from servelens.engine.methods import METHODS

PHOTO = photo(0)


def test_all_methods_answer_together(lens: Lens) -> None:
    # As JSON it would be larger than an answer may be.
    asked = {"explain": list(METHODS), "target": [1, 4], "format": "npz"}
    document = lens.document(form(PHOTO, **asked))
    found = document["attributions"]
    assert [entry["method"] for entry in found] == [name for name in METHODS for _ in range(2)]
    for entry in found:
        assert entry["problem"] is None, entry
        assert np.isfinite(entry["map"]).all() and entry["map"].ndim == 2


@pytest.mark.parametrize("method", METHODS)
def test_each_method_answers_alone_as_it_does_among_others(lens: Lens, method: str) -> None:
    (alone,) = lens.document(form(PHOTO, explain=method, target=1))["attributions"]
    both = lens.document(form(PHOTO, explain=["occlusion", method, "grad_cam"], target=1))
    beside = both["attributions"][1]
    largest = max(np.abs(alone["map"]).max(), 1e-9)
    assert np.abs(alone["map"] - beside["map"]).max() <= 1e-3 * largest


def test_a_part_has_its_weight(lens: Lens) -> None:
    answer = lens.document(form(PHOTO, explain="occlusion", part={"index": 0, "of": 4}))
    (part,) = answer["attributions"]
    assert part["weight"].shape == part["map"].shape and part["weight"].sum() > 0
