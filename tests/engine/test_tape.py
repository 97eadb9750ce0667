"""A recorded pass: what it keeps is true, and it leaves the model as it found it."""

from __future__ import annotations

import gc
import itertools
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import assert_close, model_input, one_pass, slow_saliency
from engine_fixtures.photos import photo, plain
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of, remembered, state_of
from odd_nets import AliasNet, InPlaceNet, MoodyNet, OutOfPlaceNet, StochasticNet, TellingNet
from tiny_net import TinyNet

from servelens.engine.layers import LayerRef
from servelens.engine.tape import record
from servelens.protocol import Document

PHOTO = photo(seed=5)
EVERYTHING = {"layers": ["*"], "channels": "all"}
IN_PLACE_LAYERS = ["first", "second", "norm", "relu#0", "relu#1", "relu"]


def layer(name: str) -> LayerRef:
    module, _, call = name.partition("#")
    return LayerRef(module, int(call) if call else None)


@cache
def in_place():
    return open_session(seeded(InPlaceNet))


def out_of_place() -> OutOfPlaceNet:
    module = OutOfPlaceNet()
    module.load_state_dict(in_place().model.module.state_dict())
    return module.eval()


# Truth of what is recorded.


@pytest.mark.parametrize("gradients", [False, True], ids=["record", "explain"])
@pytest.mark.parametrize("together", [True, False], ids=["all layers", "each alone"])
def test_activations_are_what_the_module_gave_before_anything_in_place(gradients, together):
    session, twin = in_place(), out_of_place()
    image = model_input(session, PHOTO)
    expected_output = twin(image)
    groups = [IN_PLACE_LAYERS] if together else [[name] for name in IN_PLACE_LAYERS]
    for names in groups:
        refs = [layer(name) for name in names]
        model = session.model
        module = model.explaining(refs)
        tape = record(module, model.head, image.clone(), refs, gradients=gradients)
        for ref in refs:
            assert_close(
                tape.activation(ref).detach().numpy(), twin.seen[str(ref)].detach().numpy()
            )
        assert_close(tape.output.detach().numpy(), expected_output.detach().numpy())


def test_activations_answered_are_those_of_the_model_rewritten_without_in_place():
    twin = out_of_place()
    twin(model_input(in_place(), PHOTO))
    asked = {"layers": IN_PLACE_LAYERS, "channels": list(range(6))}
    for explain in (False, "saliency"):
        entries = document(in_place(), PHOTO, activations=asked, explain=explain).activations
        assert [entry.layer for entry in entries] == IN_PLACE_LAYERS
        for entry in entries:
            assert_close(entry.maps, twin.seen[entry.layer][0].detach().numpy())


@pytest.mark.parametrize("of_input", [False, True])
@pytest.mark.parametrize("name", IN_PLACE_LAYERS)
def test_gradients_are_those_of_the_model_rewritten_without_in_place(name, of_input):
    model, image = in_place().model, model_input(in_place(), PHOTO)
    ref = layer(name)
    module = model.explaining([ref])
    tape = record(module, model.head, image, [ref], gradients=True, of_input=of_input)
    found = tape.gradients(lambda out: out[0, 1], [ref], of_input=of_input, keep_graph=False)
    twin, source = out_of_place(), image.clone().requires_grad_(True)
    score = twin(source)[0, 1]
    expected = torch.autograd.grad(score, [twin.seen[name], source])
    assert_close(found.layers[ref].numpy(), expected[0].numpy())
    if of_input:
        assert_close(found.input.numpy(), expected[1].numpy())


def test_a_model_that_changes_its_input_in_place_leaves_the_batch_alone():
    model, image = in_place().model, model_input(in_place(), PHOTO)
    for gradients, of_input in ((False, False), (True, False), (True, True)):
        batch = image.clone()
        record(model.module, model.head, batch, [], gradients=gradients, of_input=of_input)
        assert torch.equal(batch, image)
    expected = one_pass(out_of_place(), image, lambda logits: logits[1])
    (saliency,) = document(in_place(), PHOTO, explain="saliency", target=1).attributions
    assert_close(saliency.map, slow_saliency(expected))


def test_recording_changes_no_answer_of_a_model_that_shares_its_tensors():
    """What passes an identity, a dropout or a flattening is the same memory under two names."""
    session = open_session(seeded(AliasNet))
    bare = document(session, PHOTO).predictions
    for name in ("*", "conv", "skip", "drop", "flat"):
        for explain in (False, "saliency"):
            recorded = document(session, PHOTO, activations=name, explain=explain).predictions
            assert [p.logit for p in recorded] == pytest.approx([p.logit for p in bare], rel=1e-5)


@pytest.mark.parametrize("gradients", [False, True], ids=["record", "explain"])
@pytest.mark.parametrize("name", ["conv", "skip", "drop", "flat"])
def test_what_an_identity_gave_is_kept_as_it_was_when_it_gave_it(name, gradients):
    model, image = open_session(seeded(AliasNet)).model, model_input(in_place(), PHOTO)
    tape = record(model.module, model.head, image, [layer(name)], gradients=gradients)
    with torch.no_grad():
        expected = model.module.conv(image)
    kept = tape.activation(layer(name)).detach().reshape(expected.shape)
    assert (kept < 0).any(), "the rectifier that follows works in place"
    assert_close(kept.numpy(), expected.numpy())


def test_what_a_pass_does_not_have_is_none():
    model, image = in_place().model, model_input(in_place(), PHOTO)
    for gradients in (False, True):
        tape = record(model.module, model.head, image, [layer("relu")], gradients=gradients)
        assert tape.activation(LayerRef("relu", 2)) is not None
        assert tape.activation(LayerRef("relu", 3)) is None
    telling = open_session(seeded(TellingNet)).model
    without_rows = [layer(name) for name in ("pair", "windows", "scale")]
    tape = record(telling.module, telling.head, image, without_rows, gradients=True)
    for ref in without_rows:
        assert tape.activation(ref) is None


# Everything is put back.


def untidy(module):
    """A model that nobody has put in order: half in training mode, half of it frozen."""
    for index, inner in enumerate(module.modules()):
        inner.training = index % 2 == 0
    for index, parameter in enumerate(module.parameters()):
        parameter.requires_grad_(index % 2 == 0)
    return module


QUESTIONS = [
    {},
    {"activations": "*"},
    {"activations": {"layers": ["*"], "sort_by": "random"}, "seed": 3},
    {"activations": {"layers": ["*"], "sort_by": "relevance"}},
    {"explain": "saliency"},
    {"explain": {"method": "grad_cam", "layer": "*"}, "target": "top:3"},
    {"explain": ["saliency", "grad_cam"], "activations": "*", "target": [0, 1]},
]


@pytest.mark.parametrize("keys", QUESTIONS)
@pytest.mark.parametrize("kind", [TinyNet, InPlaceNet, MoodyNet])
def test_a_model_is_as_before_after_every_kind_of_answer(kind, keys):
    session = open_session(seeded(kind))
    untidy(session.model.module)
    before = state_of(both_of(session))
    assert not any(itertools.chain(*before["hooks"].values())), "nor is one left from loading it"
    assert isinstance(document(session, **keys), Document)
    assert state_of(both_of(session)) == before


@pytest.mark.parametrize("keys", QUESTIONS)
def test_answers_do_not_depend_on_the_mode_that_the_model_was_left_in(keys):
    session = open_session(seeded(TinyNet))
    tidy = document(session, **keys)
    untidy(session.model.module)
    again = document(session, **keys)
    assert again.predictions == tidy.predictions
    for one, other in zip(again.attributions, tidy.attributions, strict=True):
        np.testing.assert_array_equal(one.map, other.map)


@pytest.mark.parametrize("keys", QUESTIONS)
def test_a_model_is_as_before_after_an_error_inside_it(keys):
    session = open_session(seeded(MoodyNet))
    untidy(session.model.module)
    for module in both_of(session):
        module.fails_on_white = True
    before = state_of(both_of(session))
    assert problem(session, plain(255), **keys).type == "internal"
    assert state_of(both_of(session)) == before
    document(session, **keys)


@pytest.mark.parametrize("frames", range(6))
def test_a_model_is_as_before_when_a_stream_is_closed_half_way(frames):
    session = open_session(seeded(TinyNet))
    untidy(session.model.module)
    before = state_of(both_of(session))
    stream = session.open_stream(
        request(explain=["saliency", "grad_cam"], target=[1, 2], stream=True)
    )
    assert len(list(islice(stream, frames))) == frames
    assert state_of(both_of(session)) == before, "also between two frames"
    stream.close()
    assert state_of(both_of(session)) == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_neither_matters_nor_changes(mode):
    session = open_session(seeded(TinyNet))
    keys = {"explain": ["saliency", "grad_cam"], "activations": "*"}
    expected = document(session, PHOTO, **keys)
    with mode():
        before = state_of(both_of(session))
        answer = document(session, PHOTO, **keys)
        assert state_of(both_of(session)) == before
    for one, other in zip(answer.attributions, expected.attributions, strict=True):
        np.testing.assert_array_equal(one.map, other.map)


def test_a_model_that_draws_random_numbers_uses_up_none_of_the_callers():
    session = open_session(seeded(StochasticNet))
    for keys in QUESTIONS[1:]:
        before = torch.get_rng_state()
        document(session, **keys)
        assert torch.equal(torch.get_rng_state(), before)


# Nothing is kept.


@pytest.fixture
def no_collector():
    """What lives on until a garbage collection holds a GPU's memory till then."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def no_log_kept(monkeypatch):
    """pytest keeps records of the log, and a record its traceback."""
    monkeypatch.setattr("servelens.engine.faults.logger.disabled", True)


@pytest.mark.parametrize("keys", QUESTIONS)
def test_nothing_of_a_pass_outlives_its_answer(keys, no_collector):
    session = open_session(seeded(TinyNet))
    with remembered(both_of(session)) as seen:
        answer = document(session, **keys)
    assert answer and (seen or not keys)
    assert not [reference for reference in seen if reference() is not None]


@pytest.mark.parametrize("frames", range(1, 6))
def test_nothing_of_a_pass_outlives_a_closed_stream(frames, no_collector):
    session = open_session(seeded(TinyNet))
    with remembered(both_of(session)) as seen:
        stream = session.open_stream(request(explain=["saliency", "grad_cam"], target=[1, 2]))
        kept = list(islice(stream, frames))
        stream.close()
    del stream
    assert kept and seen
    assert not [reference for reference in seen if reference() is not None]


@pytest.mark.parametrize("keys", QUESTIONS[1:])
def test_nothing_of_a_pass_outlives_an_error_inside_the_model(keys, no_collector, no_log_kept):
    session = open_session(seeded(MoodyNet))
    for module in both_of(session):
        module.fails_on_white = True
    with remembered(both_of(session)) as seen:
        answers = session.run([request(plain(255), **keys), request(PHOTO, **keys)])
    assert answers and seen
    assert not [reference for reference in seen if reference() is not None]


def test_answers_are_detached_and_own_their_memory():
    answer = document(
        open_session(seeded(TinyNet)), activations=EVERYTHING, explain=["saliency", "grad_cam"]
    )
    arrays = [item.maps for item in answer.activations] + [item.map for item in answer.attributions]
    for array in arrays:
        assert isinstance(array, np.ndarray) and array.dtype == np.float32
