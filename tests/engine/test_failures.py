"""What fails, fails alone: a row, an entry of it, or nothing where a smaller chunk will do."""

from __future__ import annotations

import itertools
import logging

import pytest
from engine_fixtures.alike import assert_same
from engine_fixtures.photos import photo, plain
from engine_fixtures.sessions import document, open_session, request, seeded
from engine_fixtures.watches import both_of, counted
from odd_nets import MoodyNet, OverflowNet, TellingNet
from tiny_net import TinyNet

from servelens.engine import answers as document_writer
from servelens.engine import desk
from servelens.protocol import Document

SESSION = open_session(seeded(TinyNet))


# Memory runs out, or the model or the engine itself raises.


def moody(chunk=8):
    session = open_session(seeded(MoodyNet), chunk=chunk)
    modules = both_of(session)

    def become(**moods):
        for module in modules:
            for name, value in moods.items():
                setattr(module, name, value)

    return session, become


KINDS_OF_ROW = [{}, {"activations": "head"}, {"explain": ["saliency", "grad_cam"]}]


@pytest.mark.parametrize("keys", KINDS_OF_ROW)
@pytest.mark.parametrize("most_rows", [1, 2, 3, 5])
def test_a_chunk_that_memory_runs_out_for_is_halved_until_all_are_answered(keys, most_rows):
    session, become = moody()
    rows = [request(photo(seed=seed), **keys) for seed in range(13)]
    expected = session.run(rows)
    become(most_rows=most_rows)
    for answer, alone in zip(session.run(rows), expected, strict=True):
        assert isinstance(answer, Document)
        assert_same(answer, alone)


def test_after_memory_ran_out_chunks_stay_small_enough():
    session, become = moody()
    become(most_rows=2)
    rows = [request(photo(seed=seed)) for seed in range(16)]
    assert session.memory_retries == 0
    session.run(rows)
    # Both chunks of 8 ran out of memory, and so did both halves of either.
    assert session.memory_retries == 6
    with counted(session) as passes:
        session.run(rows)
    assert set(passes.predicted) == {2}, "nothing is tried again that failed before"
    assert session.memory_retries == 6


@pytest.mark.parametrize("keys", KINDS_OF_ROW)
def test_out_of_memory_at_one_image_is_a_507(keys):
    session, become = moody()
    become(most_rows=0)
    for answer in session.run([request(**keys), request(**keys)]):
        assert (answer.type, answer.code) == ("out_of_memory", 507)
        assert answer.hint
    become(most_rows=10)
    assert isinstance(session.run([request(**keys)])[0], Document), "and the next one is answered"


@pytest.mark.parametrize("keys", KINDS_OF_ROW)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_row_that_makes_the_model_raise_is_internal_and_its_neighbours_are_answered(
    keys, place, caplog
):
    session, become = moody()
    rows = [request(photo(seed=seed), **keys) for seed in range(7)]
    expected = session.run(rows)
    become(fails_on_white=True)
    rows[place] = request(plain(255), **keys)
    with caplog.at_level(logging.ERROR):
        answers = session.run(rows)
    failure = answers.pop(place)
    assert (failure.type, failure.code) == ("internal", 500)
    assert failure.id and failure.id in failure.hint
    assert failure.id in caplog.text, "the log has the cause under the same id"
    assert "a white image at /secret/path" in caplog.text
    assert "/secret/path" not in str(failure.to_wire())
    assert len(caplog.records) == 1, "once"
    expected.pop(place)
    for answer, alone in zip(answers, expected, strict=True):
        assert_same(answer, alone)


def test_several_rows_that_fail_each_have_an_incident_of_their_own():
    session, become = moody()
    become(fails_on_white=True)
    answers = session.run([request(plain(255)), request(photo()), request(plain(255))])
    assert [getattr(answer, "type", "document") for answer in answers] == [
        "internal",
        "document",
        "internal",
    ]
    assert answers[0].id != answers[2].id


@pytest.mark.parametrize("keys", KINDS_OF_ROW)
def test_whatever_is_raised_while_a_row_is_prepared_is_that_rows_own(keys, monkeypatch, caplog):
    """The engine raises for no row's sake, not even where it is itself at fault."""
    view_photo = desk.view_photo

    def faulty(data, *arguments, **options):
        if data == b"faulty":
            raise KeyError("a fault of our own")
        return view_photo(data, *arguments, **options)

    monkeypatch.setattr(desk, "view_photo", faulty)
    first, second, third = SESSION.run(
        [request(**keys), request(b"faulty", **keys), request(**keys)]
    )
    assert isinstance(first, Document) and isinstance(third, Document)
    assert second.type == "internal"
    assert second.id in caplog.text


def test_whatever_is_raised_while_an_answer_is_written_is_that_rows_own(monkeypatch, caplog):
    statistics = document_writer.statistics
    calls = itertools.count()

    def faulty(values):
        if next(calls) == 1:
            raise KeyError("a fault of our own")
        return statistics(values)

    monkeypatch.setattr(document_writer, "statistics", faulty)
    found = SESSION.run([request(activations="last")] * 3)
    assert [getattr(answer, "type", "document") for answer in found] == [
        "document",
        "internal",
        "document",
    ]
    assert found[1].id in caplog.text


# Numbers that are not finite.


@pytest.mark.parametrize("top_k", [1, 3, 4])
@pytest.mark.parametrize("keys", KINDS_OF_ROW)
def test_a_logit_that_is_not_finite_is_a_problem_of_its_row(keys, top_k):
    """Whether or not it is among those answered: a softmax makes all of them meaningless."""
    session = open_session(seeded(OverflowNet, where="logit"))
    good, bad = request(photo(), top_k=top_k, **keys), request(plain(255), top_k=top_k, **keys)
    (alone,) = session.run([good])
    first, second, third = session.run([good, bad, good])
    assert second.type == "internal"
    assert_same(first, alone)
    assert_same(third, alone)


def test_a_layer_that_is_not_finite_is_a_problem_of_its_entry():
    session = open_session(seeded(OverflowNet, where="layer"))
    good = request(photo(), activations=["act", "mask", "head"])
    (alone,) = session.run([good])
    assert all(entry.problem is None for entry in alone.activations)
    first, second = session.run([good, request(plain(255), activations=["act", "mask", "head"])])
    assert_same(first, alone)
    before, entry, after = second.activations
    assert before.problem is None and after.problem is None
    assert entry.layer == "mask"
    assert entry.problem.type == "unsupported"
    assert entry.statistics is None and entry.maps is None


def test_a_map_that_is_not_finite_is_a_problem_of_its_entry():
    session = open_session(seeded(OverflowNet, where="gradient"))
    keys = {"explain": ["saliency", "grad_cam"]}
    good = request(photo(), **keys)
    (alone,) = session.run([good])
    assert all(item.problem is None for item in alone.attributions)
    first, second = session.run([good, request(plain(255), **keys)])
    assert_same(first, alone)
    for item in second.attributions:
        assert item.map is None
        assert item.problem.type == "unsupported"
        assert item.method in item.problem.message


# Layers that are no feature maps.


@pytest.mark.parametrize("sort_by", ["activation", "variance", "random", "relevance"])
def test_layers_that_give_no_channels_are_unsupported_beside_those_that_do(sort_by):
    session = open_session(seeded(TellingNet))
    rows = [
        request(photo(seed=seed), activations={"layers": ["*"], "sort_by": sort_by})
        for seed in (1, 2)
    ]
    for answer in session.run(rows):
        entries = {entry.layer: entry for entry in answer.activations}
        assert len(entries) == 8
        for name in ("pair", "row_mean", "windows", "scale"):
            assert entries[name].problem.type == "unsupported"
            assert name in entries[name].problem.message
            assert entries[name].maps is None and entries[name].statistics is None
        for name in ("conv", "act", "argmax", "head"):
            assert entries[name].problem is None
            assert entries[name].maps.shape[0] == len(entries[name].channels)


def test_class_activation_maps_of_what_is_no_feature_map_are_unsupported_beside_those_that_are():
    session = open_session(seeded(TellingNet))
    answer = document(session, explain={"method": "grad_cam", "layer": "*"}, activations="conv")
    found = {item.layer: item for item in answer.attributions}
    for name in ("pair", "argmax", "row_mean", "windows", "scale", "head"):
        assert found[name].map is None
        assert found[name].problem.type == "unsupported"
        assert found[name].problem.message
    for name in ("conv", "act"):
        assert found[name].problem is None
        assert found[name].map.shape == (16, 16)
    assert answer.activations[0].problem is None
