"""Every name in a request is the model's, or refused with its place and what there is instead."""

from __future__ import annotations

import pytest
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_net import TinyNet

from servelens.codec import pack_json, write_json
from servelens.engine import explanations
from servelens.engine.folder.card import OutputSpec
from servelens.engine.jobs import MapAsk
from servelens.protocol import Document, Problem, ProblemError

LABELS = ("ant", "bee", "cat", "dog", "emu", "fox")
PHOTO = photo(seed=6)
SESSION = open_session(seeded(TinyNet), output=OutputSpec(LABELS))


@pytest.mark.parametrize(
    ("keys", "type", "where", "hint"),
    [
        ({"explain": "grad_kam"}, "unknown_method", "explain.method", "did you mean 'grad_cam' or"),
        ({"explain": ["saliency", "grad"]}, "unknown_method", "explain[1].method", "grad_cam"),
        (
            {"explain": {"method": "grad_cam", "layer": "lasst"}},
            "unknown_layer",
            "explain.layer",
            "'last'",
        ),
        (
            {"explain": ["saliency", {"method": "grad_cam", "layers": ["last", "bloc"]}]},
            "unknown_layer",
            "explain[1].layers[1]",
            "'block'",
        ),
        ({"activations": "blok"}, "unknown_layer", "activations.layers", "'block'"),
        ({"activations": ["last", "stom"]}, "unknown_layer", "activations.layers[1]", "'stem'"),
        ({"activations": "nothing.*"}, "unknown_layer", "activations.layers", "known: 'stem'"),
        ({"activations": "block.relu#2"}, "unknown_layer", "activations.layers", "block.relu#1"),
        ({"activations": "block.relu#-1"}, "unknown_layer", "activations.layers", "block.relu#0"),
        ({"activations": "last#1"}, "unknown_layer", "activations.layers", "last#0"),
        ({"activations": "block.relu#x"}, "unknown_layer", "activations.layers", "block.relu#0"),
        ({"activations": ""}, "unknown_layer", "activations.layers", "'stem'"),
        ({"target": "catt"}, "unknown_class", "target", "'cat'"),
        ({"target": ["cat", 6]}, "unknown_class", "target[1]", "0 to 5"),
        (
            {"explain": {"method": "saliency", "target": "dgo"}},
            "unknown_class",
            "explain.target",
            "'dog'",
        ),
        (
            {"explain": ["saliency", {"method": "saliency", "target": [1, "emus"]}]},
            "unknown_class",
            "explain[1].target[1]",
            "'emu'",
        ),
        (
            {"target": [0, {"class": "cat", "versus": "dgo"}]},
            "unknown_class",
            "target[1].versus",
            "'dog'",
        ),
        (
            {"explain": [{"method": "grad_cam", "rellu": True}]},
            "unknown_key",
            "explain[0].rellu",
            "'relu'",
        ),
        ({"explain": {"method": "saliency", "layer": "last"}}, "bad_value", "explain.layer", None),
        (
            {"explain": [{"method": "saliency", "layers": ["last"]}]},
            "bad_value",
            "explain[0].layer",
            None,
        ),
    ],
)
def test_what_the_model_does_not_have_is_named_with_its_place_and_what_there_is(
    keys, type, where, hint
):
    found = problem(SESSION, **keys)
    assert (found.type, found.code, found.where) == (type, 400, where)
    if hint is not None:
        assert hint in found.hint


def test_lists_that_multiply_are_refused_before_anything_is_worked_out(monkeypatch):
    """Asked of all methods and all targets together, these would be sixteen million maps."""
    made = []
    monkeypatch.setattr(explanations, "MapAsk", lambda *parts: made.append(1) or MapAsk(*parts))
    found = problem(SESSION, PHOTO, explain=["saliency"] * 4096, target=[0] * 4096)
    assert len(made) == 2, "no third one is looked at"
    assert (found.type, found.where) == ("bad_value", "explain[1]")
    assert "more than 4096 maps" in found.message


def test_names_of_any_length_are_told_in_one_line():
    for keys in (
        {"explain": "x" * 128},
        {"activations": "y\n" * 500},
        {"explain": {"method": "grad_cam", "layer": "*" * 1000 + "z"}},
        {"activations": "block.relu#" + "9" * 1000},
    ):
        found = problem(SESSION, **keys)
        assert len(found.message) < 200 and "\n" not in found.message
        assert len(found.where) < 100


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("last", ["last"]),
        ("block.*", ["block.conv1", "block.bn1", "block.conv2", "block.bn2", "block.relu"]),
        ("block.bn?", ["block.bn1", "block.bn2"]),
        (["last", "block.conv?", "last"], ["last", "block.conv1", "block.conv2"]),
        (["block.relu#0", "block.relu"], ["block.relu#0", "block.relu"]),
        (
            ["*"],
            [
                "stem",
                "block.conv1",
                "block.bn1",
                "block.conv2",
                "block.bn2",
                "block.relu",
                "block",
                "last",
                "head",
            ],
        ),
    ],
)
def test_globs_are_expanded_in_execution_order_and_each_layer_is_answered_once(asked, expected):
    assert [e.layer for e in document(SESSION, activations=asked).activations] == expected
    layers = [asked] if isinstance(asked, str) else asked
    explained = document(SESSION, explain={"method": "grad_cam", "layers": layers}).attributions
    assert [item.layer for item in explained] == expected


# Anything at all.

NAMES = st.sampled_from(
    [
        "last",
        "head",
        "block.*",
        "*",
        "block.relu#0",
        "block.relu#7",
        "",
        "#",
        "last#",
        "?",
        "[a]",
        "🐝",
    ]
)
CLASSES = st.one_of(
    st.integers(-2, 7),
    st.sampled_from(["bee", "predicted", "top:2", "top:9", "3", "gorilla", "", "top:", "🐝"]),
)
ONE_TARGET = st.one_of(CLASSES, st.fixed_dictionaries({"class": CLASSES, "versus": CLASSES}))
TARGETS = st.one_of(ONE_TARGET, st.lists(ONE_TARGET, min_size=1, max_size=3))
METHOD = st.one_of(
    st.sampled_from(["grad_cam", "saliency", "lime", ""]),
    st.fixed_dictionaries(
        {"method": st.sampled_from(["grad_cam", "saliency"])},
        optional={
            "layer": NAMES,
            "layers": st.lists(NAMES, min_size=1, max_size=3),
            "target": TARGETS,
            "relu": st.sampled_from([True, False, None, 3]),
            "per_channel": st.booleans(),
        },
    ),
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "top_k": st.sampled_from([1, 5, 6, 7, 10**30]),
        "target": TARGETS,
        "explain": st.one_of(st.booleans(), METHOD, st.lists(METHOD, min_size=1, max_size=3)),
        "activations": st.one_of(
            st.booleans(),
            NAMES,
            st.lists(NAMES, min_size=1, max_size=3),
            st.fixed_dictionaries(
                {},
                optional={
                    "layers": st.lists(NAMES, min_size=1, max_size=3),
                    "channels": st.sampled_from([1, 10**30, "all", [0], [7, 7], [11], [10**30]]),
                    "sort_by": st.sampled_from(["activation", "variance", "random", "relevance"]),
                    "statistics": st.booleans(),
                    "maps": st.booleans(),
                },
            ),
        ),
        "seed": st.sampled_from([0, 1, 2**63 - 1]),
        "budget_ms": st.sampled_from([0, 0.5, 1e9]),
        "dtype": st.sampled_from(["auto", "float32"]),
        "weights": NAMES,
        "mask": st.sampled_from([PHOTO, photo(width=9), b"", PHOTO[:300]]),
        "id": st.text(max_size=8),
    },
)


@settings(max_examples=250, deadline=None)
@given(KEYS, st.sampled_from([PHOTO, b"", PHOTO[:300]]))
def test_any_request_is_answered_or_refused_for_a_reason_of_its_own(keys, image):
    try:
        asked = request(image, **keys)
    except ProblemError as error:
        assert error.problem.code == 400
        return
    beside = request(PHOTO)
    neighbour, answer = SESSION.run([beside, asked])
    assert isinstance(neighbour, Document)
    if isinstance(answer, Problem):
        assert answer.type != "internal"
        assert answer.message and (answer.where or answer.hint)
    write_json(pack_json(answer) if isinstance(answer, Document) else answer.to_wire())
