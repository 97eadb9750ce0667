"""The attribution methods, against formulas written out slowly, closed forms and Captum."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, Saliency
from engine_fixtures.oracles import (
    assert_close,
    model_input,
    one_pass,
    slow_grad_cam,
    slow_saliency,
    untouched,
)
from engine_fixtures.photos import photo
from engine_fixtures.sessions import SMALL, document, open_session, problem, seeded
from odd_nets import CutNet, LinearNet, PooledNet
from tiny_net import TinyNet
from torchvision.models import resnet18

from servelens.engine.folder.card import InputSpec
from servelens.engine.methods import METHODS

PHOTO = photo(seed=3)
TINY_LAYERS = ["stem", "block.conv1", "block.bn2", "block.relu#0", "block.relu#1", "block", "last"]
RESNET_LAYERS = ["conv1", "maxpool", "layer2.0.relu#0", "layer2.0.relu", "layer4", "avgpool"]


@cache
def tiny():
    return open_session(seeded(TinyNet))


@cache
def resnet():
    """Random weights, at a size that keeps the slow loops short."""
    module = seeded(resnet18, num_classes=10)
    return open_session(module, input=InputSpec(size=(64, 64), resize=64))


def plain(session, layer=None, score=lambda logits: logits[2]):
    name, _, call = (layer or "").partition("#")
    module, image = session.model.module, model_input(session, PHOTO)
    return one_pass(module, image, score, name or None, int(call or -1))


def maps(session, explain, target=2):
    return [
        item.map for item in document(session, PHOTO, explain=explain, target=target).attributions
    ]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("layer", TINY_LAYERS)
def test_grad_cam_is_its_formula_on_a_small_network(layer, relu):
    (ours,) = maps(tiny(), {"method": "grad_cam", "layer": layer, "relu": relu})
    assert_close(ours, slow_grad_cam(plain(tiny(), layer), relu))


def test_grad_cam_is_its_formula_on_resnet18():
    found = maps(resnet(), {"method": "grad_cam", "layers": RESNET_LAYERS, "relu": False})
    for layer, ours in zip(RESNET_LAYERS, found, strict=True):
        assert_close(ours, slow_grad_cam(plain(resnet(), layer), relu=False))


@pytest.mark.parametrize("open_model", [tiny, resnet])
def test_saliency_is_its_formula(open_model):
    session = open_model()
    found = plain(session)
    (ours,) = maps(session, "saliency")
    assert_close(ours, slow_saliency(found))
    (apart,) = maps(session, {"method": "saliency", "per_channel": True})
    assert_close(apart, np.abs(found.input_gradient))


def test_a_versus_target_is_explained_by_the_difference_of_the_logits():
    versus = {"class": 1, "versus": 4}

    def score(logits):
        return logits[1] - logits[4]

    (saliency,) = maps(tiny(), "saliency", versus)
    assert_close(saliency, slow_saliency(plain(tiny(), score=score)))
    (cam,) = maps(tiny(), "grad_cam", versus)
    assert_close(cam, slow_grad_cam(plain(tiny(), "last", score)))
    signed = {"method": "grad_cam", "relu": False, "layer": "block"}
    one, other, difference = maps(tiny(), signed, [1, 4, versus])
    assert_close(difference, one - other)
    (of_itself,) = maps(tiny(), "saliency", {"class": 3, "versus": 3})
    assert not of_itself.any()


def test_a_module_called_twice_has_a_map_for_each_call_and_means_its_last():
    layers = ["block.relu#0", "block.relu#1", "block.relu"]
    first, second, last = maps(tiny(), {"method": "grad_cam", "layers": layers, "relu": False})
    np.testing.assert_array_equal(second, last)
    assert np.abs(first - last).max() > 1e-3 * np.abs(last).max()


def test_without_its_relu_grad_cam_is_signed_and_with_it_the_positive_part():
    answer = document(
        tiny(),
        PHOTO,
        target=2,
        explain=[
            "grad_cam",
            {"method": "grad_cam", "relu": True},
            {"method": "grad_cam", "relu": False},
        ],
    )
    default, rectified, signed = answer.attributions
    assert [item.signed for item in answer.attributions] == [False, False, True]
    assert (signed.map < 0).any() and (signed.map > 0).any()
    np.testing.assert_array_equal(default.map, np.maximum(signed.map, 0))
    np.testing.assert_array_equal(default.map, rectified.map)
    assert default.params == {"relu": True}
    assert signed.params == {"relu": False}


def test_maps_come_at_the_size_of_what_they_explain():
    cam, saliency, apart = maps(
        tiny(), ["grad_cam", "saliency", {"method": "saliency", "per_channel": True}]
    )
    assert cam.shape == (8, 8)
    assert saliency.shape == (32, 32)
    assert apart.shape == (3, 32, 32)
    assert_close(apart.sum(axis=0), saliency, 1e-6)
    assert cam.dtype == saliency.dtype == np.float32


def test_maps_of_a_linear_model_have_their_closed_forms():
    session = open_session(seeded(LinearNet), input=replace(SMALL, mean=(0.5,) * 3))
    module, image = session.model.module, model_input(session, PHOTO)
    weights, mix = module.head.weight.detach(), module.mix.weight.detach()[:, :, 0, 0]
    height, width = image.shape[-2:]
    activation = torch.einsum("ci,ihw->chw", mix, image[0])
    for target in range(3):
        cam = torch.einsum("c,chw->hw", weights[target], activation) / (height * width)
        slope = (weights[target] @ mix).abs().sum() / (height * width)
        signed, rectified, saliency = maps(
            session, [{"method": "grad_cam", "relu": False}, "grad_cam", "saliency"], target
        )
        assert_close(signed, cam.numpy())
        assert_close(rectified, cam.relu().numpy())
        assert_close(saliency, np.full((height, width), slope))


@pytest.mark.parametrize(
    ("open_model", "layers"),
    [(tiny, ["stem", "block.bn2", "block", "last"]), (resnet, ["conv1", "layer2", "layer4"])],
)
def test_grad_cam_is_captums(open_model, layers):
    session = open_model()
    module, image = untouched(session.model.module).float(), model_input(session, PHOTO)
    for layer in layers:
        peer = LayerGradCam(module, module.get_submodule(layer))
        captums = peer.attribute(image, target=2, relu_attributions=True)[0, 0].detach().numpy()
        (ours,) = maps(session, {"method": "grad_cam", "layer": layer})
        assert_close(ours, captums)


@pytest.mark.parametrize("open_model", [tiny, resnet])
def test_saliency_is_captums(open_model):
    session = open_model()
    module, image = untouched(session.model.module).float(), model_input(session, PHOTO)
    captums = Saliency(module).attribute(image.requires_grad_(), target=2, abs=True)[0].numpy()
    (ours,) = maps(session, {"method": "saliency", "per_channel": True})
    assert_close(ours, captums)


def test_the_logits_answered_are_those_of_the_plain_model():
    for session in (tiny(), resnet()):
        expected = plain(session).logits
        for keys in ({}, {"explain": "saliency"}, {"activations": "*"}):
            for prediction in document(session, PHOTO, **keys).predictions:
                assert prediction.logit == pytest.approx(expected[prediction.index], rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_that_a_method_does_not_have_is_refused_in_one_line(method):
    for name in ("rellu", "x" * 5000, "two\nlines"):
        found = problem(tiny(), explain=[{"method": method, name: 1}])
        assert (found.type, found.code) == ("unknown_key", 400)
        assert found.where.startswith("explain[0].")
        assert len(found.where) < 100 and len(found.message) < 200
        assert "\n" not in found.message + found.where


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({"method": "grad_cam", "relu": "no"}, "explain.relu"),
        ({"method": "grad_cam", "relu": 0}, "explain.relu"),
        ({"method": "saliency", "per_channel": None}, "explain.per_channel"),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_a_bad_value(entry, where):
    found = problem(tiny(), explain=entry)
    assert (found.type, found.where) == ("bad_value", where)


def test_a_model_that_cuts_its_own_graph_is_told_from_one_whose_pixels_do_not_matter():
    """Its features are computed under no_grad: a map of zeros would say that nothing matters."""
    session = open_session(seeded(CutNet))
    answer = document(
        session,
        explain=["saliency", {"method": "grad_cam", "layers": ["conv", "act", "pool"]}],
    )
    *cut, reached = answer.attributions
    for item in cut:
        assert item.map is None
        assert item.problem.type == "unsupported"
        assert (item.layer or "input") in item.problem.message
    assert reached.layer == "pool"
    assert reached.problem is None
    assert reached.map.shape == (1, 1)
    whole = document(
        open_session(seeded(PooledNet)), explain={"method": "grad_cam", "layer": "pool"}
    )
    np.testing.assert_allclose(reached.map, whole.attributions[0].map)
