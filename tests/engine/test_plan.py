"""A batch of any rows: each is answered as if alone, and with as few passes as there can be."""

from __future__ import annotations

import itertools

import pytest
import torch
from engine_fixtures.alike import assert_same
from engine_fixtures.photos import encode, noise, photo, png_header
from engine_fixtures.sessions import document, open_session, request, seeded
from engine_fixtures.watches import counted
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_nets import BatchStatisticsNet, StochasticNet
from tiny_net import TinyNet

from servelens.protocol import Document, Problem, Request

SESSION = open_session(seeded(TinyNet))
LAYERS = ("stem", "block.relu#0", "block", "last")
EVERY_LAYER = {"layers": ["*"], "channels": 3}


def rows_of_all_kinds() -> list[Request]:
    """Photos differ from row to row, so that an answer in the wrong place is seen."""
    seeds = itertools.count(100)

    def ask(**keys):
        seed = next(seeds)
        return request(photo(seed=seed), id=str(seed), **keys)

    return [
        ask(),
        ask(activations="block"),
        ask(explain="grad_cam"),
        ask(explain="saliency", target=[4, "2"]),
        request(b"no image at all"),
        ask(explain=["grad_cam", "saliency"], target="top:3"),
        ask(explain={"method": "grad_cam", "layers": ["stem", "last"], "relu": False}, target=1),
        ask(top_k=99),
        ask(activations={"layers": ["last"], "sort_by": "relevance", "channels": 4}, target=3),
        ask(explain={"method": "grad_cam", "target": 0}, activations=EVERY_LAYER, target=5),
        ask(explain=[{"method": "saliency", "target": 2}, "grad_cam"], target=["predicted", 1]),
        ask(explain={"method": "grad_cam", "layer": "head"}),
        ask(explain="grad_cam", target="no such class"),
        ask(activations=EVERY_LAYER, top_k=1),
        ask(explain=["saliency", {"method": "saliency", "per_channel": True}]),
        ask(explain=["grad_cam", "grad_cam"], target={"class": 0, "versus": 1}),
        ask(top_k=6),
        ask(explain={"method": "grad_cam", "layer": "nowhere"}),
        request(png_header(60000, 60000), explain="saliency"),
    ]


@pytest.mark.parametrize("chunk", [1, 2, 3, 8, 64])
def test_each_row_of_a_mixed_batch_is_answered_as_if_alone(chunk):
    session = open_session(seeded(TinyNet), chunk=chunk)
    rows = rows_of_all_kinds()
    together = session.run(rows)
    assert len(together) == len(rows)
    kinds = set()
    for answer, row in zip(together, rows, strict=True):
        (alone,) = SESSION.run([row])
        assert_same(answer, alone)
        kinds.add(alone.type if isinstance(alone, Problem) else Document)
    assert kinds == {
        Document,
        "bad_image",
        "bad_value",
        "unknown_class",
        "unknown_layer",
        "too_many_pixels",
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(rows_of_all_kinds()) - 1), max_size=12))
def test_each_row_of_any_batch_is_answered_as_if_alone(chosen):
    rows = [ROWS[index] for index in chosen]
    for answer, index in zip(SESSION.run(rows), chosen, strict=True):
        if index not in ALONE:
            (ALONE[index],) = SESSION.run([ROWS[index]])
        assert_same(answer, ALONE[index])


ROWS = rows_of_all_kinds()
ALONE: dict[int, Document | Problem] = {}


@pytest.mark.parametrize("keys", [{}, {"activations": "*"}, {"explain": ["saliency", "grad_cam"]}])
@pytest.mark.parametrize("kind", [BatchStatisticsNet, StochasticNet])
def test_rows_of_a_model_that_looks_at_the_whole_batch_never_share_a_pass(kind, keys):
    """A norm without running statistics, or a dropout that is always on."""
    session = open_session(seeded(kind))
    rows = [request(photo(seed=seed), **keys) for seed in range(3)]
    with counted(session) as passes:
        together = session.run(rows)
    assert passes.predicted + passes.forwards == [1, 1, 1]
    if kind is BatchStatisticsNet:
        for answer, row in zip(together, rows, strict=True):
            assert_same(answer, session.run([row])[0])


# Passes.


@pytest.mark.parametrize(
    ("keys", "backwards"),
    [
        ({"activations": "*"}, 0),
        ({"activations": EVERY_LAYER, "explain": False}, 0),
        ({"explain": "saliency"}, 1),
        (
            {
                "activations": EVERY_LAYER,
                "explain": ["saliency", {"method": "grad_cam", "layers": LAYERS}],
            },
            1,
        ),
        ({"explain": [{"method": "grad_cam", "layer": "*"}, "saliency"], "target": 2}, 1),
        ({"explain": "grad_cam", "target": "top:4"}, 4),
        ({"explain": ["grad_cam", "saliency"], "target": [0, 1, 2]}, 3),
        ({"explain": ["grad_cam", {"method": "saliency", "target": [1, 2]}], "target": [0, 1]}, 3),
        ({"explain": "grad_cam", "target": [1, "1", 1]}, 1),
        ({"explain": "grad_cam", "target": [0, 1, {"class": 0, "versus": 1}]}, 3),
        ({"explain": ["grad_cam", "grad_cam"], "target": 1}, 1),
        ({"explain": {"method": "grad_cam", "layer": "head"}}, 0),
        ({"activations": {"layers": ["*"], "sort_by": "relevance"}}, 1),
        ({"activations": {"layers": ["*"], "sort_by": "relevance"}, "explain": "saliency"}, 1),
        ({"activations": {"layers": ["last"], "sort_by": "relevance", "channels": [1, 2]}}, 0),
        (
            {
                "activations": {"layers": ["last"], "sort_by": "relevance"},
                "explain": {"method": "saliency", "target": [0, 1]},
                "target": [3, 4],
            },
            3,
        ),
    ],
)
def test_cost_is_what_really_went_through_the_model(keys, backwards):
    with counted(SESSION) as passes:
        answer = document(SESSION, **keys)
    assert (answer.cost.forwards, answer.cost.backwards) == (1, backwards)
    assert passes.predicted + passes.forwards == [1]
    assert passes.backwards == [1] * backwards


def test_the_predicted_class_asked_for_twice_is_one_backward():
    predicted = document(SESSION).predictions[0]
    for again in (predicted.index, predicted.label, "top:1", str(predicted.index)):
        with counted(SESSION) as passes:
            answer = document(SESSION, explain="grad_cam", target=["predicted", again])
        assert answer.cost.backwards == len(passes.backwards) == 1
        assert [item.target.index for item in answer.attributions] == [predicted.index]


def test_rows_that_only_predict_never_touch_the_model_that_explains():
    with counted(SESSION) as passes:
        answers = SESSION.run([request(photo(seed=seed), top_k=2) for seed in range(11)])
    assert all((a.cost.forwards, a.cost.backwards) == (1, 0) for a in answers)
    assert passes.predicted == [8, 3], "chunks of eight"
    assert passes.forwards == passes.backwards == []


def test_the_cost_of_a_batch_adds_up_to_the_images_that_went_through_the_models():
    rows = rows_of_all_kinds()
    with counted(SESSION) as passes:
        answers = [answer for answer in SESSION.run(rows) if isinstance(answer, Document)]
    assert sum(passes.predicted) + sum(passes.forwards) == len(answers)
    assert sum(answer.cost.forwards for answer in answers) == len(answers)
    assert sum(answer.cost.backwards for answer in answers) == sum(passes.backwards)
    assert sum(passes.predicted) == sum(
        not answer.activations and all(item.problem for item in answer.attributions)
        for answer in answers
    )


def test_rows_that_ask_alike_share_their_passes():
    rows = [
        request(photo(seed=seed), explain=["grad_cam", "saliency"], target=[seed, 5])
        for seed in range(4)
    ]
    with counted(SESSION) as passes:
        SESSION.run(rows)
    assert passes.forwards == [4]
    assert passes.backwards == [4, 4]


def test_a_row_pays_for_no_further_targets_than_its_own():
    """One of many targets beside many of one target: these end with their one backward."""
    rows = [request(photo(seed=seed), explain="grad_cam", target=0) for seed in range(3)]
    rows.append(request(photo(seed=3), explain="grad_cam", target="top:6"))
    with counted(SESSION) as passes:
        answers = SESSION.run(rows)
    assert sorted(passes.backwards) == [1] * 6 + [3]
    assert [answer.cost.backwards for answer in answers] == [1, 1, 1, 6]


def test_an_empty_batch_has_no_answers():
    assert SESSION.run([]) == []


def test_a_photo_of_another_format_in_each_row_is_no_matter():
    image = noise(40, 40)
    rows = [request(encode(image, kind)) for kind in ("PNG", "BMP", "TIFF")]
    answers = SESSION.run(rows)
    assert len({answer.predictions for answer in answers}) == 1
    assert torch.is_grad_enabled()
