"""The twin: the same answers and gradients at every layer that folding left alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from engine_fixtures.alike import assert_same
from engine_fixtures.oracles import assert_close, model_input, one_pass
from engine_fixtures.photos import photo
from engine_fixtures.sessions import card, document, open_session, request, seeded
from engine_fixtures.watches import counted, state_of
from odd_nets import (
    BatchStatisticsNet,
    BranchingNet,
    ForkedNet,
    InPlaceNet,
    NormedNet,
    PeekingNet,
    RenamedNet,
    RepeatingNet,
)
from tiny_net import TinyNet
from torch import nn
from torchvision.models import densenet121, mobilenet_v3_small, resnet18

from servelens.engine.fast import folded
from servelens.engine.folder.card import InputSpec
from servelens.engine.head import LOGITS, Head
from servelens.engine.layers import LayerRef
from servelens.engine.model import make_model
from servelens.engine.tape import record

PHOTO = photo(seed=7)
CHANGED = {
    TinyNet: {"block.conv1", "block.conv2"},
    InPlaceNet: {"second"},
    NormedNet: {"stage.0", "inner", "inner.0"},
}
LAYERS = {
    TinyNet: ["stem", "block.bn1", "block.bn2", "block.relu", "block", "last"],
    NormedNet: ["stage.1", "stage.2", "stage", "norm"],
    resnet18: ["bn1", "maxpool", "layer1.0.bn1", "layer2.0.downsample", "layer3.1.relu", "layer4"],
}


@cache
def session_of(kind):
    if kind is resnet18:
        return open_session(seeded(kind, num_classes=10), input=InputSpec((64, 64), resize=64))
    return open_session(seeded(kind))


def ways_of(session):
    """Fills with the module that each pass goes through."""
    went: list[str] = []
    for name, module in (("twin", session.model.twin.module), ("module", session.model.module)):
        module.register_forward_pre_hook(lambda *_, name=name: went.append(name))
    return went


def names(module):
    return [name for name, _ in module.named_modules()]


def norms(module):
    return [name for name, inner in module.named_modules() if isinstance(inner, nn.BatchNorm2d)]


@pytest.mark.parametrize("kind", CHANGED)
def test_a_twin_has_the_modules_hierarchy_and_no_norms(kind):
    model = session_of(kind).model
    assert names(model.twin.module) == names(model.module)
    assert norms(model.module) and not norms(model.twin.module)


@pytest.mark.parametrize("kind", CHANGED)
def test_what_a_folded_convolution_gives_has_changed_and_whatever_hands_it_on(kind):
    assert session_of(kind).model.twin.changed == CHANGED[kind]


def test_of_resnet18_all_layers_but_the_convolutions_are_as_they_were():
    model = session_of(resnet18).model
    convolutions = [n for n, inner in model.module.named_modules() if isinstance(inner, nn.Conv2d)]
    assert model.twin.changed == {*convolutions}
    assert len(convolutions) == 20


@pytest.mark.parametrize("of_input", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in LAYERS for name in LAYERS[kind]]
)
def test_a_layers_values_and_gradients_in_the_twin_are_those_in_the_model(kind, name, of_input):
    session, ref = session_of(kind), LayerRef(name)
    model, image = session.model, model_input(session, PHOTO)
    expected = one_pass(model.module, image, lambda logits: logits[2], name)
    twin = model.explaining([ref])
    assert twin is model.twin.module
    tape = record(twin, model.head, image, [ref], gradients=True, of_input=of_input)
    found = tape.gradients(lambda out: out[0, 2], [ref], of_input=of_input, keep_graph=False)
    assert_close(tape.activation(ref)[0].detach().numpy(), expected.activation)
    assert_close(found.layers[ref][0].numpy(), expected.layer_gradient)
    assert_close(tape.output[0].detach().numpy(), expected.logits)
    if of_input:
        assert_close(found.input[0].numpy(), expected.input_gradient)


@pytest.mark.parametrize(
    ("layers", "on_twin"),
    [
        (["block.bn1"], True),
        (["stem", "block", "block.relu#0", "last"], True),
        (["block.conv1"], False),
        (["last", "block.conv2#0"], False),
    ],
)
def test_only_what_asks_for_a_changed_layer_is_explained_on_the_module(layers, on_twin):
    session = open_session(seeded(TinyNet))
    went = ways_of(session)
    document(session, PHOTO, explain={"method": "grad_cam", "layers": layers})
    assert went == ["twin" if on_twin else "module"]
    document(session, PHOTO)
    assert went[1:] == ["twin"]


def test_a_series_runs_on_the_twin_unless_it_asks_for_a_changed_layer():
    session = open_session(seeded(TinyNet))
    went = ways_of(session)
    document(session, PHOTO, explain={"method": "integrated_gradients", "steps": 4})
    assert {*went} == {"twin"}
    went.clear()
    document(session, PHOTO, explain={"method": "layer_conductance", "layer": "block.conv1"})
    assert {*went} == {"module"}


def test_activations_that_are_answered_are_the_modules_own_to_the_last_bit():
    session = open_session(seeded(TinyNet))
    went = ways_of(session)
    found = document(session, PHOTO, activations={"layers": ["last"], "channels": "all"})
    assert went == ["module"]
    module, given = session.model.module, []
    module.last.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    with torch.inference_mode():
        module(model_input(session, PHOTO))
    maps, order = found.activations[0].maps, [c.index for c in found.activations[0].channels]
    assert np.array_equal(maps, given[0][0].numpy()[order])


def test_a_neighbour_who_asks_for_a_changed_layer_changes_no_answer():
    session = session_of(TinyNet)
    rows = [
        request(PHOTO, explain={"method": "grad_cam", "layer": layer, "relu": False})
        for layer in ("block.bn1", "block.conv1", "last")
    ]
    with counted(session) as passes:
        together = session.run(rows)
    assert passes.forwards == [3]
    for answer, row in zip(together, rows, strict=True):
        assert_same(answer, session.run([row])[0])


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        (RepeatingNet, {"norm"}),
        (ForkedNet, {"norm"}),
        (PeekingNet, {"stage.1", "norm"}),
        (RenamedNet, {"stage.1", "norm"}),
        (BranchingNet, {"stage.1", "norm"}),
        (BatchStatisticsNet, {"norm"}),
    ],
)
def test_a_norm_stays_where_folding_it_would_change_an_answer(kind, kept):
    session = open_session(seeded(kind))
    assert {*norms(session.model.twin.module)} == kept
    image = model_input(session, PHOTO)
    expected = one_pass(seeded(kind), image, lambda logits: logits[1], "head")
    for keys in ({}, {"explain": "saliency"}, {"activations": "head"}):
        for prediction in document(session, PHOTO, **keys).predictions:
            assert prediction.logit == pytest.approx(expected.logits[prediction.index], rel=1e-4)


@pytest.mark.parametrize("build", [resnet18, densenet121, mobilenet_v3_small])
def test_the_twins_of_known_networks_answer_as_they_do(build):
    module = seeded(build, num_classes=10)
    example = torch.zeros(1, 3, 64, 64)
    twin = folded(module, example)
    assert len(norms(twin.module)) < len(norms(module)) / 1.5
    batch = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, answers = module(batch), twin.module(batch)
    assert_close(answers.numpy(), expected.numpy())


def test_folding_leaves_the_module_as_it_was():
    module = seeded(TinyNet)
    before = state_of(module)
    folded(module, torch.zeros(1, 3, 32, 32))
    assert state_of(module) == before


def test_a_twin_has_memory_of_its_own_only_for_what_was_folded():
    module = seeded(TinyNet)
    theirs = dict(module.named_parameters())
    own = {
        name
        for name, weights in folded(module, torch.zeros(1, 3, 32, 32)).module.named_parameters()
        if name not in theirs or weights.data_ptr() != theirs[name].data_ptr()
    }
    assert own == {f"block.conv{n}.{part}" for n in (1, 2) for part in ("weight", "bias")}


# The dtype that a recipe names, for predictions on a GPU.


def made_for(device, dtype, monkeypatch):
    """As on that device; what would be placed on a GPU stays on the CPU."""
    monkeypatch.setattr("servelens.engine.model._placed", lambda module, device: module)
    return make_model(seeded(TinyNet), Head(LOGITS, classes=6), card(), torch.device(device), dtype)


def test_on_a_gpu_predictions_have_the_recipes_dtype_and_explanations_float32(monkeypatch):
    model, batch = (
        made_for("cuda", "bfloat16", monkeypatch),
        model_input(session_of(TinyNet), PHOTO),
    )
    with torch.no_grad():
        expected = seeded(TinyNet)(batch)
        explained = model.explaining([])(batch)
    given = model.predictor(batch)
    assert given.dtype == torch.float32
    assert torch.equal(given, given.bfloat16().float()), "of so many bits"
    assert 0 < (given - expected).abs().max() < 0.03 * expected.abs().max()
    assert_close(explained.numpy(), expected.numpy())
    for module in (model.module, model.twin.module):
        assert {weights.dtype for weights in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(("device", "dtype"), [("cpu", "bfloat16"), ("cuda", "float32")])
def test_elsewhere_and_by_default_predictions_are_in_float32(device, dtype, monkeypatch):
    model, batch = made_for(device, dtype, monkeypatch), model_input(session_of(TinyNet), PHOTO)
    with torch.no_grad():
        assert_close(model.predictor(batch).numpy(), seeded(TinyNet)(batch).numpy())
    assert model.predictor._module is model.twin.module, "no second copy"
