"""Documents as typed results: what is kept, what is frozen, and what a hostile answer becomes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from client_fixtures.documents import CHANNELS, HEAT, activation, attribution, document, photo
from hypothesis import given
from hypothesis import strategies as st

from servelens import protocol
from servelens.client import BadAnswer, NothingToShow, Result
from servelens.client.reading import as_read
from servelens.client.registered import read_listing, read_versions

PROBLEM = {
    "code": 200,
    "type": "unsupported",
    "message": "needs a map",
    "hint": "take stem",
    "where": "explain[0]",
}
RANKING = {"layer": "stem", "target": {"index": 1, "label": "disc"}, "mode": "ablation"}
FIELD = {"layer": "stem", "channel": 0, "mode": "gradient"}


def test_every_key_of_a_document_is_read_into_the_field_of_its_name() -> None:
    result = Result.of(document(), photo(), {"explain": True})
    assert (result.lens, result.id) == (1, None)
    assert result.model == protocol.ModelRef("shapes", "1.0", "sha256:00")
    assert result.input == protocol.InputRef(8, 4, (2, 0, 6, 4), (2, 2))
    (best,) = result.predictions
    assert (best.index, best.label, best.probability, best.logit) == (1, "disc", 0.75, 2.0)
    assert result.cost == protocol.Cost(1, 1, {"compute": 2.5})
    (heat,) = result.attributions
    assert (heat.method, heat.layer, heat.signed) == ("grad_cam", "stem", False)
    assert heat.target == protocol.TargetRef(1, "disc")
    assert heat.title == "grad_cam at stem for disc"
    np.testing.assert_array_equal(heat.to_numpy(), HEAT)
    (layer,) = result.activations
    assert layer.statistics is not None
    assert (layer.statistics.spatial_size, layer.statistics.min) == ((2, 2), 0.0)
    assert [channel.mean for channel in layer.channels] == [1.5, 5.5, 9.5]
    np.testing.assert_array_equal(layer.to_numpy(), CHANNELS)
    assert not result.has_failures


def test_arrays_have_the_names_that_they_have_in_an_npz() -> None:
    arrays = Result.of(document()).to_numpy()
    assert arrays.keys() == {"activations/0/maps", "attributions/0/map"}


def test_keys_of_a_newer_server_are_carried_and_not_mixed_with_ours() -> None:
    newer = document(sparkle=[1, {"a": HEAT}], attributions=[attribution(more=3, origin="there")])
    result = Result.of(newer, photo())
    assert result.more["sparkle"][0] == 1
    (heat,) = result.attributions
    assert dict(heat.more) == {"more": 3, "origin": "there"}
    assert heat.origin is not None and heat.origin.photo == photo()
    assert result.to_numpy().keys() >= {"sparkle/1/a"}
    assert as_read(heat)["origin"] == "there"


def test_nothing_of_a_result_can_be_changed() -> None:
    asked = {"explain": ["grad_cam"]}
    result = Result.of(document(), photo(), asked)
    heat = result.attributions[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.lens = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        heat.to_numpy()[0, 0] = 1
    with pytest.raises(TypeError):
        heat.params["relu"] = False  # type: ignore[index]
    with pytest.raises(TypeError):
        result.document["lens"] = 2  # type: ignore[index]
    asked["explain"].append("occlusion")
    assert result.origin is not None and result.origin.asked["explain"] == ("grad_cam",)


def test_results_are_told_apart_by_identity_for_arrays_have_no_equality() -> None:
    one, other = (Result.of(document()) for _ in range(2))
    assert one == one
    assert one != other
    assert one.attributions[0] != other.attributions[0]
    assert len({one, other, *one.entries, *other.entries}) == 6


def test_what_has_no_numbers_says_why() -> None:
    failed = attribution(map=None, problem=PROBLEM)
    result = Result.of(document(attributions=[failed], activations=[activation(maps=None)]))
    with pytest.raises(NothingToShow, match="grad_cam at stem for disc: needs a map; take stem"):
        result.attributions[0].to_numpy()
    with pytest.raises(NothingToShow, match="activations of stem: no numbers were asked for"):
        result.activations[0].to_numpy()
    assert result.has_failures


@pytest.mark.parametrize(
    "beside",
    [
        {"problems": [PROBLEM]},
        {"weights": [{"layer": "stem"}, {"layer": "relu", "problem": PROBLEM}]},
        {"ablation": {"before": [], "problem": PROBLEM}},
        {"channel_ranking": [{**RANKING, "problem": PROBLEM}]},
        {"receptive_field": {**FIELD, "problem": PROBLEM}},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_a_problem_beside_the_rest_is_a_failure_too(beside: dict[str, Any]) -> None:
    assert Result.of(document(**beside)).has_failures


def test_what_was_answered_beside_the_rest_is_no_failure() -> None:
    beside = {
        "weights": [{"layer": "stem"}],
        "channel_ranking": [RANKING],
        "receptive_field": FIELD,
    }
    assert not Result.of(document(**beside, ablation={"before": []})).has_failures


@pytest.mark.parametrize("image", [b"a picture", "YSBwaWN0dXJl"])
def test_a_picture_is_its_bytes_however_it_came(image: object) -> None:
    assert Result.of(document(attributions=[attribution(image=image)])).attributions[0].image == (
        b"a picture"
    )


@pytest.mark.parametrize("image", ["no base64!", 3, ["YQ=="]])
def test_a_picture_that_is_none_is_refused(image: object) -> None:
    with pytest.raises(BadAnswer, match=r"attributions\[0\].image is not bytes in base64"):
        Result.of(document(attributions=[attribution(image=image)]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lens": "1"}, "document.lens is not an integer but '1'"),
        ({"lens": True}, "document.lens is not an integer but True"),
        ({"lens": 1.5}, "document.lens is not an integer but 1.5"),
        ({"model": None}, "document.model is not an object but None"),
        ({"predictions": {}}, r"document.predictions is not a list but {}"),
        ({"predictions": [[]]}, r"document.predictions\[0\] is not an object"),
        ({"predictions": [{"index": 1}]}, r"lacks document.predictions\[0\]"),
        ({"attributions": [attribution(map=[[1.0]])]}, r"attributions\[0\].map is not a tensor"),
        ({"attributions": [attribution(signed=0)]}, "signed is not true or false but 0"),
        ({"activations": [activation(shape=[1.5])]}, r"shape\[0\] is not an integer"),
        ({"input": {"width": 1, "height": 1, "crop": [0, 0, 1], "size": [1, 1]}}, "list of 4"),
        ({"cost": {"forwards": 1, "backwards": 1, "ms": {"compute": "5"}}}, "ms.compute is not a"),
        ({"lens": HEAT}, "document.lens is not an integer"),
    ],
)
def test_what_is_not_as_promised_is_named_with_its_place(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadAnswer, match=said):
        Result.of(document(**changed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_any_answer_is_read_or_refused_and_never_an_error_of_another_kind(
    data: st.DataObject,
) -> None:
    """One value somewhere in a document is replaced by anything."""
    whole: Any = document()
    place = whole
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    try:
        result = Result.of(whole)
    except BadAnswer:
        return
    assert result._repr_html_().startswith("<div>")


@pytest.mark.parametrize("told", [None, [], {}, [{}], [{"modelName": "a"}], ["a"], 7])
def test_a_model_that_is_not_described_as_one_is_a_bad_answer(told: Any) -> None:
    with pytest.raises(BadAnswer):
        read_versions(told)
    if told != []:
        with pytest.raises(BadAnswer):
            read_listing(told)
