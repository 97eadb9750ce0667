"""Which class is meant: every form of `target`, and how a model's answer becomes predictions."""

from __future__ import annotations

import math

import pytest
import torch
from engine_fixtures.sessions import document, open_session, problem, seeded
from hypothesis import given
from hypothesis import strategies as st
from odd_nets import PooledNet
from tiny_net import TinyNet

from servelens.engine.folder.card import OutputSpec
from servelens.engine.head import Head
from servelens.engine.targets import Chosen, Classes
from servelens.protocol import ClassRef, ProblemError, TargetRef

NAMES = ("ant", "bee", "cat", "dog", "emu", "fox")
ANIMALS = Classes(Head("logits", 6), OutputSpec(labels=NAMES))
RANKING = [4, 2, 0, 5, 1, 3]


def chosen(value, classes=ANIMALS, ranking=RANKING):
    return classes.rule(value, "target").choose(ranking)


def problem_of(value, classes=ANIMALS):
    with pytest.raises(ProblemError) as caught:
        classes.rule(value, "target")
    return caught.value.problem


@pytest.mark.parametrize(
    ("value", "indices"),
    [
        ("predicted", [4]),
        (3, [3]),
        (0, [0]),
        (5, [5]),
        ("cat", [2]),
        ("3", [3]),
        ("003", [3]),
        ("top:1", [4]),
        ("top:3", [4, 2, 0]),
        ("top:6", RANKING),
    ],
)
def test_every_form_of_a_target_means_its_classes(value, indices):
    assert chosen(value) == tuple(Chosen(index) for index in indices)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (1, 2, Chosen(1, 2)),
        ("dog", "ant", Chosen(3, 0)),
        ("predicted", "bee", Chosen(4, 1)),
        ("5", "predicted", Chosen(5, 4)),
        ("top:1", 0, Chosen(4, 0)),
        (2, 2, Chosen(2, 2)),
    ],
)
def test_versus_means_the_difference_of_two_logits(first, second, expected):
    found = chosen({"class": first, "versus": second})
    assert found == (expected,)
    logits = torch.arange(6.0) ** 2
    score = found[0].score(logits)
    assert score == logits[expected.index] - logits[expected.versus]


def test_labels_win_over_reserved_words_and_indices():
    labels = ("7", "predicted", "top:3", "2", "b", "0")
    classes = Classes(Head("logits", 6), OutputSpec(labels=labels))
    for index, label in enumerate(labels):
        assert chosen(label, classes) == (Chosen(index),)
    assert chosen("1", classes) == (Chosen(1),), "no label, so an index"
    assert chosen("top:2", classes) == (Chosen(4), Chosen(2))
    for index in range(6):
        assert chosen(index, classes) == (Chosen(index),), "an integer is never a label"


def test_without_labels_a_class_is_called_by_its_index():
    classes = Classes(Head("logits", 12), OutputSpec())
    assert classes.labels == tuple(str(index) for index in range(12))
    assert chosen("11", classes) == chosen(11, classes) == (Chosen(11),)


def test_a_label_of_several_classes_is_ambiguous_and_its_indices_are_listed():
    classes = Classes(Head("logits", 5), OutputSpec(labels=("crane", "bee", "crane", "2", "crane")))
    found = problem_of("crane", classes)
    assert (found.type, found.code, found.where) == ("ambiguous_class", 400, "target")
    assert "0, 2, 4" in found.message
    assert chosen(2, classes) == (Chosen(2),), "by its index it can be had"
    assert chosen("2", classes) == (Chosen(3),), "a label again wins over the index"
    nested = problem_of({"class": "bee", "versus": "crane"}, classes)
    assert (nested.type, nested.where) == ("ambiguous_class", "target.versus")


@pytest.mark.parametrize(
    "value", ["", "gorilla", "CAT", "-1", "6", "top:", "top:x", "Predicted", "３", "1.0", " 3", "٣"]
)
def test_a_name_that_nothing_bears_is_an_unknown_class(value):
    found = problem_of(value)
    assert (found.type, found.code, found.where) == ("unknown_class", 400, "target")
    assert found.hint


def test_an_unknown_class_comes_with_its_nearest_names():
    assert problem_of("catt").hint.startswith("did you mean 'cat'")
    assert "'ant'" in problem_of("zzzzzz").hint


@pytest.mark.parametrize(
    "value", [-1, 6, 1000, -(10**18), 10**400], ids=["-1", "6", "1000", "-10^18", "10^400"]
)
def test_an_index_outside_the_model_is_an_unknown_class_told_in_one_line(value):
    found = problem_of(value)
    assert found.type == "unknown_class"
    assert "0 to 5" in found.hint
    assert len(found.message) < 200


def test_a_name_of_any_length_is_told_in_one_line():
    assert len(problem_of("x" * 1024).message) < 200


@pytest.mark.parametrize("value", ["top:0", "top:7", "top:999999999"])
def test_top_n_of_more_or_fewer_classes_than_there_are_is_a_bad_value(value):
    found = problem_of(value)
    assert found.type == "bad_value"
    assert "1 to 6" in found.message


@pytest.mark.parametrize("side", ["class", "versus"])
def test_versus_takes_one_class_on_either_side(side):
    found = problem_of({"class": 1, "versus": 2, side: "top:3"})
    assert (found.type, found.where) == ("bad_value", f"target.{side}")
    unknown = problem_of({"class": 1, "versus": 2, side: "gorilla"})
    assert (unknown.type, unknown.where) == ("unknown_class", f"target.{side}")


@given(st.one_of(st.text(max_size=30), st.integers()))
def test_any_name_or_number_means_classes_of_the_model_or_is_a_problem(value):
    try:
        found = chosen(value)
    except ProblemError as error:
        assert error.problem.code == 400
    else:
        assert all(0 <= one.index < 6 for one in found)


def test_a_target_is_answered_with_its_name():
    assert ANIMALS.ref(Chosen(2)) == TargetRef(2, "cat")
    assert ANIMALS.ref(Chosen(2, 5)) == TargetRef(2, "cat", ClassRef(5, "fox"))


# How an answer of the model is read.


def test_predictions_are_ranked_by_probability_with_their_logits():
    logits = torch.tensor([[0.5, -1.0, 3.0, 2.0, 0.0, -4.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
    first, second = ANIMALS.ranked(logits, depth=3)
    assert [p.index for p in first] == [2, 3, 0]
    assert [p.label for p in second] == ["ant", "bee", "cat"]
    total = sum(math.exp(value) for value in logits[0].tolist())
    for prediction, logit in zip(first, (3.0, 2.0, 0.5), strict=True):
        assert prediction.logit == logit
        assert prediction.probability == pytest.approx(math.exp(logit) / total, rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "probability"),
    [("sigmoid", lambda z: 1 / (1 + math.exp(-z))), ("none", lambda z: z)],
)
def test_the_recipes_activation_makes_the_probabilities(activation, probability):
    classes = Classes(Head("logits", 3), OutputSpec(activation=activation))
    (ranked,) = classes.ranked(torch.tensor([[0.3, -2.0, 1.7]]), depth=3)
    assert [p.index for p in ranked] == [2, 0, 1]
    for prediction in ranked:
        assert prediction.probability == pytest.approx(probability(prediction.logit), rel=1e-6)


@pytest.mark.parametrize("logit", [-30.0, -1.5, 0.25, 4.0])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_a_single_logit_speaks_for_class_1_and_its_negative_for_class_0(logit, activation):
    classes = Classes(Head("logits", 1), OutputSpec(("no", "yes"), activation))
    assert classes.count == 2
    (ranked,) = classes.ranked(classes.logits(torch.tensor([[logit]])), depth=2)
    by_index = {p.index: p for p in ranked}
    assert by_index[1].logit == logit
    assert by_index[0].logit == -logit
    for index, sign in ((1, 1), (0, -1)):
        expected = 1 / (1 + math.exp(-sign * logit))
        assert by_index[index].probability == pytest.approx(expected, rel=1e-5)
    assert [p.index for p in ranked] == ([1, 0] if logit > 0 else [0, 1])


def test_a_single_logit_is_explained_for_either_class():
    session = open_session(seeded(PooledNet, num_classes=1), output=OutputSpec(("no", "yes")))
    cam = {"method": "grad_cam", "relu": False}
    answer = document(session, explain=cam, target=["yes", "no", {"class": "yes", "versus": "no"}])
    yes, no, difference = (item.map for item in answer.attributions)
    assert abs(yes).max() > 0
    assert (no == -yes).all()
    assert difference == pytest.approx(2 * yes, rel=1e-5)
    assert {p.label for p in answer.predictions} == {"no", "yes"}


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 6])
def test_a_model_of_few_classes_answers_what_it_has(classes):
    session = open_session(seeded(PooledNet, num_classes=classes))
    answers = max(classes, 2)
    assert len(document(session).predictions) == min(5, answers)
    assert len(document(session, top_k=answers).predictions) == answers
    found = problem(session, top_k=answers + 1)
    assert (found.type, found.where) == ("bad_value", "top_k")
    assert str(answers) in found.message


def test_a_target_may_lie_beyond_what_top_k_answers():
    session = open_session(seeded(TinyNet))
    answer = document(session, top_k=1, target=["top:3", 5], explain="saliency")
    assert len(answer.predictions) == 1
    ranking = [p.index for p in document(session, top_k=6).predictions]
    expected = list(dict.fromkeys([*ranking[:3], 5]))
    assert [item.target.index for item in answer.attributions] == expected
