"""Trust cards through a real server: by every shape of a request, in every encoding."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lens_caller import Lens, as_json, form, kserve
from lens_pictures import base64_of, halves, photo

from servelens import codec
from servelens.engine.trust import CHECKS

PHOTO = photo(0)
NUMBERS = [name for check in CHECKS for name in check.names]


def card(lens: Lens, call) -> dict:
    (found,) = lens.document(call)["attributions"]
    assert found["map"] is not None and found["problem"] is None
    return dict(found["trust"])


def test_a_card_comes_with_each_map_and_says_what_it_cost(lens: Lens) -> None:
    plain = lens.document(form(PHOTO, explain=["grad_cam", "rise"], target=[1, 4]))
    document = lens.document(form(PHOTO, explain=["grad_cam", "rise"], target=[1, 4], trust=True))
    for entry, without in zip(document["attributions"], plain["attributions"], strict=True):
        np.testing.assert_allclose(entry["map"], without["map"], rtol=1e-2, atol=1e-6)
        found = entry["trust"]
        assert found["compared_with"].keys() == set(NUMBERS)
        assert 0 < found["deletion_auc"] < 1 and 0 < found["random_insertion_auc"] < 1
        assert found["forwards"] <= 100
        assert (found["sanity"] is None) == (entry["method"] == "rise")
        assert without["trust"] is None
    # Blurred image, two random maps, four maps, two noisy photos, three models that forgot.
    more = document["cost"]["forwards"] - plain["cost"]["forwards"]
    assert more == 1 + 30 * 2 + 30 * 4 + 2 + 3


@pytest.mark.parametrize("keys", [{"trust": True}, {"trust": "full", "seed": 3}])
def test_all_shapes_and_encodings_carry_the_same_card(lens: Lens, keys) -> None:
    keys = {"explain": {"method": "smooth_grad", "samples": 2}, "target": 2, **keys}
    expected = card(lens, form(PHOTO, **keys))
    assert expected["stability"] is not None
    assert card(lens, as_json(PHOTO, **keys)) == expected
    assert card(lens, form(PHOTO, format="npz", **keys)) == expected
    assert card(lens, form(PHOTO, stream=True, **keys)) == expected
    answer = lens.ask(kserve([{"image": base64_of(PHOTO), **keys}], "explain"))
    (explained,) = codec.read_json(answer.content)["explanations"]
    assert explained["attributions"][0]["trust"] == expected


def test_pointing_and_mass_are_of_the_mask_that_came_along(lens: Lens) -> None:
    call = form(PHOTO, explain="saliency", trust=True, mask=base64_of(halves()), dtype="float32")
    (entry,) = lens.document(call)["attributions"]
    values, middle = entry["map"].astype(np.float64), entry["map"].shape[1] // 2
    assert entry["trust"]["mass"] == pytest.approx(
        values[:, :middle].sum() / values.sum(), abs=1e-5
    )
    assert entry["trust"]["pointing"] == (values.max() == values[:, :middle].max())
    assert entry["trust"]["compared_with"]["mass"].startswith("0.5000, the mask")
    without = card(lens, form(PHOTO, explain="saliency", trust=True))
    assert without["pointing"] is without["mass"] is None


def test_progress_is_told_while_checks_are_made(lens: Lens) -> None:
    answer = lens.ask(form(PHOTO, explain="saliency", trust="full", stream=True))
    frames = [json.loads(line) for line in answer.content.splitlines()]
    texts = [frame["text"] for frame in frames if frame["frame"] == "progress"]
    assert texts.count("deletion and insertion") > 1
    assert {"stability", "sanity"} <= set(texts)


@pytest.mark.parametrize("bad", ["half", 1, [True], {"full": True}])
def test_values_that_are_none_of_trust_s_are_refused(lens: Lens, bad) -> None:
    found = lens.problem(as_json(PHOTO, explain="saliency", trust=bad))
    assert (found["code"], found["type"], found["where"]) == (400, "bad_value", "trust")
    assert "'full'" in found["message"]


def test_the_capability_document_says_what_the_numbers_mean(lens: Lens) -> None:
    told = lens.ask(form(describe=True)).json()["trust"]
    assert [number["name"] for check in told for number in check["numbers"]] == NUMBERS
