"""What may be asked, key by key, and what is said of what may not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from servelens.protocol import (
    KEYS,
    AblateRequest,
    ActivationsRequest,
    FieldRequest,
    MethodRequest,
    Problem,
    ProblemError,
    RankRequest,
    Request,
    WeightsRequest,
    read_form_value,
    read_request,
    shorten,
)

IMAGE = b"\x89PNG"

# For each key values that it takes, in JSON's own types.
GOOD: dict[str, list[Any]] = {
    "top_k": [1, 1000],
    "target": ["predicted", 7, "7", "top:3", [1, "cat"], {"class": 1, "versus": "cat"}],
    "explain": [True, "grad_cam", ["grad_cam", {"method": "saliency", "target": 2}]],
    "activations": [True, "layer4", ["layer1", "layer4*"], {"channels": "all", "maps": False}],
    "format": ["json", "npz"],
    "dtype": ["auto", "float32"],
    "stream": [True, False],
    "describe": [True, False],
    "budget_ms": [0, 1.5, 1e6],
    "seed": [0, 2**63 - 1],
    "id": ["", "a" * 128],
    "weights": ["fc", ["fc", "conv"], {"layers": ["fc"], "channels": [3, 1], "kernels": False}],
    "ablate": [
        [{"layer": "conv", "channels": [1]}],
        [
            {"layer": "conv", "channels": "all", "mode": "mean"},
            {"layer": "fc", "channels": [0], "mode": "scale", "factor": -100},
        ],
    ],
    "rank_channels": [
        {"layer": "conv"},
        {"layer": "conv", "target": ["cat", {"class": 1, "versus": 2}], "mode": "first_order"},
    ],
    "receptive_field": [
        {"layer": "conv", "channel": 1, "position": None},
        {"layer": "conv", "channel": 0, "position": [3, 4], "mode": "gradient"},
        {"layer": "conv", "channel": 0, "mode": "occlusion", "window": 8, "stride": 8},
        {"layer": "conv", "channel": 0, "mode": "occlusion", "stride": 9},
    ],
    "trust": [True, "full"],
    "mask": ["iVBORw0KGgo="],
    "part": [{"index": 0, "of": 4}],
    "render": [True],
}
BAD: dict[str, list[Any]] = {
    "top_k": [0, -1, 1.5, "5", True, [], {}],
    "target": [1.5, True, [], {}, {"class": 1}, {"class": 1, "versus": 2.5}, [[1]], [None]],
    "explain": [1, 1.5, [], {}, [1], {"method": 1}, {"layer": "x"}, [["grad_cam"]]],
    "activations": [1, [], [1], {"channels": 0}, {"channels": "some"}, {"sort_by": "size"}],
    "format": ["NPZ", 1, True, ["npz"]],
    "dtype": ["float16", 16, {}],
    "stream": ["true", 1, 0, []],
    "describe": ["yes", 1],
    "budget_ms": [-1, "10", True, math.nan, math.inf, 10**400, []],
    "seed": [-1, 2**63, 0.5, "0", False],
    "id": [7, True, "a" * 129, [], "\ud800"],
    "weights": [1, [], [1], {}, {"layers": []}, {"layers": ["fc"], "channels": [-1]}],
    "ablate": [
        {},
        [],
        [1],
        "conv",
        [{"layer": "conv"}],
        [{"channels": [1]}],
        [{"layer": "conv", "channels": 3}],
        [{"layer": "conv", "channels": []}],
        [{"layer": "conv", "channels": [-1]}],
        [{"layer": "conv", "channels": "some"}],
        [{"layer": "conv", "channels": [1], "mode": "noise"}],
        [{"layer": "conv", "channels": [1], "mode": "scale"}],
        [{"layer": "conv", "channels": [1], "factor": 2}],
        [{"layer": "conv", "channels": [1], "mode": "mean", "factor": 2}],
        [{"layer": "conv", "channels": [1], "mode": "scale", "factor": 100.5}],
        [{"layer": "conv", "channels": [1], "mode": "scale", "factor": math.nan}],
        [{"layer": "conv", "channels": [1], "mode": "scale", "factor": math.inf}],
        [{"layer": "conv", "channels": [1], "mode": "scale", "factor": True}],
    ],
    "rank_channels": [
        "conv",
        [],
        {},
        {"layer": ["conv"]},
        {"layer": "conv", "mode": "gradient"},
        {"layer": "conv", "target": []},
    ],
    "receptive_field": [
        "conv",
        1,
        {"layer": "conv"},
        {"channel": 1},
        {"layer": "conv", "channel": -1},
        {"layer": "conv", "channel": "all"},
        {"layer": "conv", "channel": 1, "position": [1]},
        {"layer": "conv", "channel": 1, "position": [1, -1]},
        {"layer": "conv", "channel": 1, "position": [1, 1.5]},
        {"layer": "conv", "channel": 1, "position": "centre"},
        {"layer": "conv", "channel": 1, "mode": "guess"},
        {"layer": "conv", "channel": 1, "window": 4},
        {"layer": "conv", "channel": 1, "mode": "gradient", "stride": 4},
        {"layer": "conv", "channel": 1, "mode": "occlusion", "window": 0},
        {"layer": "conv", "channel": 1, "mode": "occlusion", "window": 4, "stride": 5},
    ],
    "trust": ["half", 1, []],
    "mask": [1, {}],
    "part": [1, []],
    "render": [1, "true"],
}


def problem_of(values: dict[str, Any], image: bytes | None = IMAGE) -> Problem:
    with pytest.raises(ProblemError) as caught:
        read_request(values, image)
    return caught.value.problem


def test_the_examples_here_cover_every_key() -> None:
    names = [key.name for key in KEYS]
    assert sorted(GOOD) == sorted(BAD) == sorted(names)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, vs in GOOD.items() for v in vs], ids=shorten
)
def test_a_good_value_is_taken(name: str, value: Any) -> None:
    assert isinstance(read_request({name: value}, IMAGE), Request)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs], ids=shorten
)
def test_a_bad_value_is_named_with_its_place(name: str, value: Any) -> None:
    found = problem_of({name: value})
    assert (found.type, found.code) == ("bad_value", 400)
    assert found.where is not None
    assert found.where.startswith(name)
    assert name in found.message
    assert len(found.message) < 1000


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"explain": ["grad_cam", {"method": 3}]}, "explain[1].method"),
        ({"explain": {"layer": "conv"}}, "explain.method"),
        ({"explain": [{"method": "x", "layer": "a", "layers": ["b"]}]}, "explain[0]"),
        ({"activations": {"layers": ["a", 2]}}, "activations.layers[1]"),
        ({"target": [0, {"class": 1, "versus": None}]}, "target[1].versus"),
    ],
)
def test_the_place_of_a_nested_value_is_its_path(values: dict[str, Any], where: str) -> None:
    found = problem_of(values)
    assert (found.type, found.where) == ("bad_value", where)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"ablate": [{"layer": "c", "channels": "all"}, {"layer": "c"}]}, "ablate[1].channels"),
        ({"ablate": [{"layer": "c", "channels": [0], "mode": "scale"}]}, "ablate[0].factor"),
        ({"ablate": [{"layer": "c", "channels": [0], "factor": 1}]}, "ablate[0].factor"),
        ({"weights": {"layers": ["a"], "channels": [0, -1]}}, "weights.channels[1]"),
        ({"rank_channels": {"layer": "c", "target": [0, None]}}, "rank_channels.target[1]"),
        (
            {"receptive_field": {"layer": "c", "channel": 0, "stride": 3}},
            "receptive_field.stride",
        ),
        (
            {"receptive_field": {"layer": "c", "channel": 0, "position": [0, "1"]}},
            "receptive_field.position[1]",
        ),
    ],
)
def test_what_is_asked_beside_maps_is_refused_at_its_place(
    values: dict[str, Any], where: str
) -> None:
    found = problem_of(values)
    assert (found.type, found.where) == ("bad_value", where)


def test_weights_are_read_in_each_of_their_forms() -> None:
    assert read_request({"weights": "fc"}, None).weights == WeightsRequest(("fc",))
    assert read_request({"weights": ["a", "b*"]}, None).weights == WeightsRequest(("a", "b*"))
    asked = {"layers": ["a"], "channels": 3, "kernels": False}
    assert read_request({"weights": asked}, None).weights == WeightsRequest(
        ("a",), 3, kernels=False, where="weights.layers"
    )


def test_edits_units_and_rankings_are_read_with_their_defaults() -> None:
    edits = [
        {"layer": "a", "channels": "all"},
        {"layer": "b", "channels": [2], "mode": "scale", "factor": 0.5},
    ]
    assert read_request({"ablate": edits}, IMAGE).ablate == (
        AblateRequest("a", None),
        AblateRequest("b", (2,), "scale", 0.5, "ablate[1]"),
    )
    assert read_request({"rank_channels": {"layer": "a"}}, IMAGE).rank_channels == RankRequest("a")
    target = {"class": 1, "versus": 2}
    asked = {"layer": "a", "target": target, "mode": "first_order"}
    assert read_request({"rank_channels": asked}, IMAGE).rank_channels == RankRequest(
        "a", (target,), "first_order"
    )
    unit = {"layer": "a", "channel": 4, "position": [1, 2], "mode": "occlusion", "window": 6}
    assert read_request({"receptive_field": unit}, IMAGE).receptive_field == FieldRequest(
        "a", 4, (1, 2), "occlusion", 6
    )


@pytest.mark.parametrize(
    ("values", "needs"),
    [
        ({"weights": "fc"}, False),
        ({"weights": "fc", "id": "7", "format": "npz", "seed": 3, "explain": False}, False),
        ({"weights": "fc", "activations": False}, False),
        ({}, True),
        ({"weights": "fc", "top_k": 1}, True),
        ({"weights": "fc", "explain": True}, True),
        ({"weights": "fc", "activations": "fc"}, True),
        ({"weights": "fc", "ablate": [{"layer": "fc", "channels": "all"}]}, True),
        ({"weights": "fc", "rank_channels": {"layer": "fc"}}, True),
        ({"weights": "fc", "receptive_field": {"layer": "fc", "channel": 0}}, True),
    ],
)
def test_weights_alone_need_no_image(values: dict[str, Any], needs: bool) -> None:
    assert read_request(values, None).needs_image is needs
    assert read_request(values, None, explain_by_default=True).needs_image is (
        needs or values.get("explain") is not False
    )


def test_null_is_a_key_that_was_left_out() -> None:
    nothing = dict.fromkeys(key.name for key in KEYS)
    assert read_request(nothing, IMAGE) == read_request({}, IMAGE)


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    found = problem_of({"explian": True})
    assert (found.type, found.where) == ("unknown_key", "explian")
    assert found.hint == "did you mean 'explain'?"


def test_an_unknown_key_inside_a_value_is_named_with_its_path() -> None:
    found = problem_of({"activations": {"chanels": 4}})
    assert (found.type, found.where) == ("unknown_key", "activations.chanels")
    assert found.hint == "did you mean 'channels'?"


@pytest.mark.parametrize("name", ["x" * 10_000, "a\r\nb", "\ud800", "", "ключ\x00"])
def test_a_strange_key_is_quoted_and_short(name: str) -> None:
    for values in ({name: 1}, {"activations": {name: 1}}):
        found = problem_of(values)
        assert found.type == "unknown_key"
        assert found.where is not None
        text = found.message + found.where + (found.hint or "")
        assert len(text) < 600
        assert text.isprintable()


def test_a_stream_is_not_npz() -> None:
    found = problem_of({"stream": True, "format": "npz"})
    assert (found.type, found.where) == ("bad_value", "format")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, None),
        (False, ()),
        ("saliency", (MethodRequest("saliency", where="explain"),)),
        (
            ["saliency", {"method": "grad_cam", "layer": "conv", "target": "top:2", "relu": False}],
            (
                MethodRequest("saliency", where="explain[0]"),
                MethodRequest("grad_cam", ("conv",), ("top:2",), {"relu": False}, "explain[1]"),
            ),
        ),
        (
            {"method": "grad_cam", "layers": ["a", "b"]},
            (MethodRequest("grad_cam", ("a", "b"), where="explain"),),
        ),
    ],
)
def test_explain_is_read_in_each_of_its_forms(value: Any, expected: Any) -> None:
    assert read_request({"explain": value}, IMAGE).explain == expected


def test_without_a_word_explain_is_what_the_door_says() -> None:
    assert read_request({}, IMAGE).explain == ()
    assert read_request({}, IMAGE, explain_by_default=True).explain is None
    assert read_request({"explain": False}, IMAGE, explain_by_default=True).explain == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, None),
        (True, ActivationsRequest()),
        ("conv", ActivationsRequest(layers=("conv",))),
        (["a", "b*"], ActivationsRequest(layers=("a", "b*"))),
        (
            {"layers": ["a"], "channels": [3, 1], "sort_by": "random", "statistics": False},
            ActivationsRequest(("a",), (3, 1), "random", statistics=False),
        ),
    ],
)
def test_activations_are_read_in_each_of_their_forms(value: Any, expected: Any) -> None:
    assert read_request({"activations": value}, IMAGE).activations == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("target", "7", 7),
        ("target", '"7"', "7"),
        ("target", "crane", "crane"),
        ("target", '["7", 7]', ["7", 7]),
        ("target", "a,b", "a,b"),
        ("target", "NaN", "NaN"),
        ("explain", "true", True),
        ("explain", "grad_cam", "grad_cam"),
        ("explain", "grad_cam, saliency,", ["grad_cam", "saliency"]),
        ("explain", '{"method": "grad_cam"}', {"method": "grad_cam"}),
        ("activations", "layer1,layer2", ["layer1", "layer2"]),
        ("activations", "0,3", ["0", "3"]),
        ("weights", "a,b", "a,b"),
        ("top_k", "3", 3),
        ("budget_ms", "-Infinity", "-Infinity"),
        ("seed", "1" * 30, "1" * 30),
        ("id", "7", "7"),
        ("id", '{"a": 1}', '{"a": 1}'),
        ("id", "true", "true"),
    ],
)
def test_a_form_field_is_json_where_it_parses_and_else_text(
    name: str, text: str, expected: Any
) -> None:
    read = read_form_value(name, text)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("target", '{"class": 1, "versus": 2, "class": 3}'),
        ("explain", '[{"method": "rise", "m\\u0065thod": "lime"}]'),
        ("ablate", '[{"layer": "a", "channels": [{"": 1, "": 1}]}]'),
    ],
)
def test_a_form_field_in_which_a_key_stands_twice_is_no_text_but_refused(
    name: str, text: str
) -> None:
    with pytest.raises(ProblemError, match="stands more than once") as refused:
        read_form_value(name, text)
    assert (refused.value.problem.type, refused.value.problem.where) == ("bad_value", name)
    assert read_form_value("id", text) == text
