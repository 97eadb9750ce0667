"""Weights, ablations, rankings of channels and receptive fields, through a real server."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lens_caller import Lens, as_json, assert_same, assert_same_answer, form
from lens_pictures import photo

PHOTO = photo(0)
EDITS = [
    {"layer": "block.relu#0", "channels": [0, 3]},
    {"layer": "last", "channels": "all", "mode": "scale", "factor": 0.5},
]
RANKING = {"layer": "last", "target": [1, {"class": 2, "versus": 0}]}
UNIT = {"layer": "last", "channel": 3, "position": [10, 20], "mode": "occlusion"}
ALL = {"weights": "*", "ablate": EDITS, "rank_channels": RANKING, "receptive_field": UNIT}
ANSWERS = {
    "weights": "weights",
    "ablate": "ablation",
    "rank_channels": "channel_ranking",
    "receptive_field": "receptive_field",
}


def test_all_four_answer_together_and_each_alone_as_among_the_others(lens: Lens) -> None:
    together = lens.document(form(PHOTO, explain="grad_cam", **ALL))
    assert together["attributions"][0]["map"] is not None and "problems" not in together
    for key, name in ANSWERS.items():
        alone = lens.document(form(PHOTO, **{key: ALL[key]}))
        assert_same(together[name], alone[name], name)
        assert set(ANSWERS.values()) & alone.keys() == {name}
    windows = together["cost"]["forwards"] - 1 - 1 - 12
    assert 0 < windows <= 64 and together["cost"]["backwards"] == 1


def test_an_edit_changes_the_predictions(lens: Lens) -> None:
    found = lens.document(form(PHOTO, top_k=6, ablate=EDITS))
    before, after = found["ablation"]["before"], found["ablation"]["after"]
    assert_same(before, found["predictions"], "before")
    assert {p["index"] for p in after} == set(range(6))
    assert sum(p["probability"] for p in after) == pytest.approx(1)
    assert [p["logit"] for p in before] != pytest.approx([p["logit"] for p in after], rel=1e-2)


def test_channels_are_ranked_by_what_an_edit_of_each_alone_takes_away(lens: Lens) -> None:
    first, _ = lens.document(form(PHOTO, rank_channels=RANKING))["channel_ranking"]
    most, least = first["channels"][0], first["channels"][-1]
    for channel in (most, least):
        edit = [{"layer": "last", "channels": [channel["index"]]}]
        ablation = lens.document(form(PHOTO, top_k=6, ablate=edit))["ablation"]
        before, after = (
            next(p["logit"] for p in ablation[side] if p["index"] == 1)
            for side in ("before", "after")
        )
        assert before - after == pytest.approx(channel["effect"], abs=1e-4)
    assert most["effect"] > least["effect"]


@pytest.mark.parametrize("mode", ["gradient", "occlusion"])
def test_a_receptive_field_lies_in_its_box(lens: Lens, mode: str) -> None:
    found = lens.document(form(PHOTO, receptive_field={**UNIT, "mode": mode}))
    field, crop = found["receptive_field"], found["input"]["crop"]
    assert field["map"].shape == (224, 224) and field["map"].max() > 0
    rows, columns = np.nonzero(field["map"])
    per_pixel = (crop[2] - crop[0]) / 224
    left, top, right, bottom = field["box"]
    assert left <= crop[0] + columns.min() * per_pixel
    assert crop[0] + (columns.max() + 1) * per_pixel <= right
    assert top <= crop[1] + rows.min() * per_pixel
    assert crop[1] + (rows.max() + 1) * per_pixel <= bottom
    assert field["theoretical"]["size"] == [15, 15]


def test_weights_alone_need_no_image(lens: Lens) -> None:
    for call in (form(weights="*"), as_json(weights="*"), form(weights="*", stream=True)):
        found = lens.document(call)
        assert (found["input"], found["predictions"]) == (None, [])
        assert found["cost"]["forwards"] == 0
        (stem,) = [entry for entry in found["weights"] if entry["layer"] == "stem"]
        assert stem["kernels"].shape == (8, 3, 3, 3) and stem["bias"].shape == (8,)
    refused = lens.problem(form(weights="*", door="explanations"))
    assert refused["type"] == "no_image"
    assert lens.document(form(weights="*", door="explanations", explain=False))["input"] is None


def test_npz_holds_the_json_documents_values(lens: Lens) -> None:
    in_npz = lens.document(form(PHOTO, format="npz", **ALL))
    in_json = lens.document(form(PHOTO, **ALL))
    for name in ANSWERS.values():
        assert_same(in_npz[name], in_json[name], name)


def test_a_stream_tells_of_its_passes_and_ends_with_the_document(lens: Lens) -> None:
    keys = {**ALL, "stream": True}
    frames = [json.loads(line) for line in lens.ask(form(PHOTO, **keys)).content.splitlines()]
    told = [frame for frame in frames if frame["frame"] == "progress"]
    assert {"channel_ablation", "ablation", "receptive_field"} <= {f["text"] for f in told}
    assert told[-1]["done"] == told[-1]["total"]
    streamed, whole = lens.document(form(PHOTO, **keys)), lens.document(form(PHOTO, **ALL))
    for name in ANSWERS.values():
        assert_same(streamed[name], whole[name], name)


def test_rows_of_a_batch_answer_as_if_alone(lens: Lens) -> None:
    calls = [
        form(photo(1)),
        form(PHOTO, ablate=EDITS, receptive_field=UNIT),
        form(photo(2), explain="grad_cam"),
        form(weights="stem"),
    ]
    alone = [lens.ask(call, "rows") for call in calls]
    for got, expected in zip(lens.together("rows", *calls), alone, strict=True):
        assert_same_answer(got, expected)


@pytest.mark.parametrize(
    ("keys", "type", "where"),
    [
        ({"weights": "stm"}, "unknown_layer", "weights"),
        ({"weights": {"layers": ["stem"], "channels": [8]}}, "bad_value", "weights.channels"),
        ({"ablate": [{"layer": "stm", "channels": [0]}]}, "unknown_layer", "ablate[0].layer"),
        ({"ablate": [{"layer": "stem", "channels": [8]}]}, "bad_value", "ablate[0].channels"),
        (
            {"ablate": [{"layer": "stem", "channels": [0], "mode": "scale", "factor": 1e9}]},
            "bad_value",
            "ablate[0].factor",
        ),
        ({"rank_channels": {"layer": "lst"}}, "unknown_layer", "rank_channels.layer"),
        (
            {"rank_channels": {"layer": "last", "target": "cube"}},
            "unknown_class",
            "rank_channels.target",
        ),
        (
            {"receptive_field": {"layer": "last", "channel": 12}},
            "bad_value",
            "receptive_field.channel",
        ),
        (
            {"receptive_field": {"layer": "last", "channel": 0, "position": [56, 0]}},
            "bad_value",
            "receptive_field.position",
        ),
    ],
)
def test_bad_values_are_refused_with_their_place(lens: Lens, keys, type, where) -> None:
    found = lens.problem(form(PHOTO, **keys))
    assert (found["type"], found["code"], found["where"]) == (type, 400, where)
