"""Stability and sanity against runs made by hand, and what those runs leave behind."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import model_input, one_pass, slow_grad_cam, slow_saliency
from engine_fixtures.photos import encode, noise, photo
from engine_fixtures.sessions import document, open_session, seeded
from engine_fixtures.watches import state_of
from PIL import Image
from tiny_net import TinyNet
from torch import nn

from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import view_photo
from servelens.engine.trust.likeness import likeness
from servelens.engine.trust.randomised import forget, randomised, stages
from servelens.engine.trust.stability import noisy

SEEN_WHOLE = InputSpec(size=(32, 32), resize=0, crop="none", mean=(0.0,) * 3, std=(1.0,) * 3)
ORDER = ["stem", "block.conv1", "block.bn1", "block.conv2", "block.bn2", "block", "last", "head"]


class ForgetfulNet(nn.Module):
    """Has weights, and an answer in which they have no part."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        edges = (x[:, :, 1:] - x[:, :, :-1]).square().mean(dim=(1, 2, 3))
        return torch.stack((edges, 1 - edges), dim=1) + 0 * self.idle(x).mean()


class WeightlessNet(ForgetfulNet):
    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Identity()


def slow_likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of ranks, each counted out: how many are below, and half the equals."""

    def ranks(values: np.ndarray) -> list[float]:
        flat = values.ravel().tolist()
        return [sum((o < v) + (o == v) / 2 for o in flat) for v in flat]

    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


@pytest.mark.parametrize("seed", range(4))
def test_likeness_is_the_correlation_of_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(-4, 5, (2, 9, 9)).astype(np.float32)
    assert likeness(one, other) == pytest.approx(slow_likeness(one, other))
    assert likeness(one, np.exp(one)) == pytest.approx(1), "no scale matters"
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one, np.zeros_like(one)) == 0, "what is the same everywhere is like nothing"


def test_stability_is_the_likeness_to_the_maps_of_the_noisy_photos() -> None:
    """Asked for as any caller could, with photos of the same noise."""
    session, picture = open_session(seeded(TinyNet), input=SEEN_WHOLE), encode(noise(32, 32))
    cam = {"method": "grad_cam", "relu": False}
    methods = [cam, "saliency", {"method": "smooth_grad", "samples": 3}]
    keys = {"explain": methods, "seed": 4, "dtype": "float32"}
    answer = document(session, picture, target="top:2", trust="full", **keys)
    targets = [p.index for p in answer.predictions[:2]]
    view = view_photo(picture, SEEN_WHOLE, 10**6)
    runs = []
    for run in range(2):
        pixels = noisy(view, 4, run, SEEN_WHOLE).pixels
        assert 3 < np.abs(pixels.astype(float) - view.pixels).mean() < 6
        again = encode(Image.fromarray(pixels))
        assert (np.asarray(Image.open(io.BytesIO(again))) == pixels).all()
        runs.append(document(session, again, target=targets, **keys).attributions)
    for found, *others in zip(answer.attributions, *runs, strict=True):
        expected = np.mean([likeness(found.map, other.map) for other in others])
        assert found.trust.stability == pytest.approx(expected, abs=2e-6)
        assert 0.3 < found.trust.stability < 1


def test_sanity_is_the_likeness_to_the_maps_of_models_that_forgot() -> None:
    session = open_session(seeded(TinyNet))
    explain = [{"method": "grad_cam", "layer": "block", "relu": False}, "saliency"]
    cam, saliency = document(session, explain=explain, target=3, trust=True).attributions
    image, alike = model_input(session, photo()), {"grad_cam": [], "saliency": []}
    names = [layer["name"] for layer in session.describe()["layers"]]
    for model in randomised(session.model, names):
        found = one_pass(model.module, image, lambda logits: logits[3], layer="block")
        alike["grad_cam"].append(abs(likeness(cam.map, slow_grad_cam(found, relu=False))))
        alike["saliency"].append(abs(likeness(saliency.map, slow_saliency(found))))
    for found in (cam, saliency):
        assert len(set(alike[found.method])) == 3, "three models that differ"
        assert found.trust.sanity == pytest.approx(np.mean(alike[found.method]), abs=1e-4)
        assert found.trust.sanity < 0.7


def test_a_map_that_the_weights_have_no_part_in_fails() -> None:
    session = open_session(seeded(ForgetfulNet))
    card = document(session, explain="saliency", trust=True).attributions[0].trust
    assert card.sanity == pytest.approx(1, abs=1e-6)


def test_a_model_without_weights_has_none_to_forget() -> None:
    session = open_session(seeded(WeightlessNet))
    card = document(session, explain="saliency", trust=True).attributions[0].trust
    assert card.sanity is None and "no weights" in card.compared_with["sanity"]
    assert card.stability is not None


def test_torchscript_forgets_too() -> None:
    module = seeded(TinyNet)
    scripted = torch.jit.trace(module, torch.zeros(1, 3, 32, 32))
    before = {name: weights.clone() for name, weights in scripted.named_parameters()}
    plain, traced = (
        document(open_session(m), explain="saliency", trust=True).attributions[0].trust
        for m in (module, scripted)
    )
    assert traced.stability == pytest.approx(plain.stability, abs=1e-4)
    assert 0 <= traced.sanity < 0.9
    assert all(torch.equal(before[name], p) for name, p in scripted.named_parameters())


def test_weights_are_forgotten_from_the_head_backwards_each_in_one_stage() -> None:
    module = seeded(TinyNet)
    found = stages(module, ORDER)
    modules = [{name.rpartition(".")[0] for name in names} for names in found]
    assert modules == [
        {"head", "last", "block.bn2"},
        {"block.conv2", "block.bn1"},
        {"block.conv1", "stem"},
    ]
    named = [name for names in found for name in names]
    assert sorted(named) == sorted(name for name, _ in module.named_parameters())


def test_modules_that_are_not_called_forget_with_those_that_hold_them() -> None:
    first, *_, last = stages(seeded(TinyNet), ["stem", "last", "head", "block"])
    assert {name.split(".")[0] for name in first} == {"block", "head"}
    assert {name.split(".")[0] for name in last} == {"stem"}


def test_each_stage_goes_further_than_the_last_and_the_model_stays_as_it_is() -> None:
    session = open_session(seeded(TinyNet))
    module = session.model.module
    before = state_of(module)
    kept = dict(module.named_parameters())
    first_time, second_time = (
        [
            {name: p.clone() for name, p in model.module.named_parameters()}
            for model in randomised(session.model, ORDER)
        ]
        for _ in range(2)
    )
    for names, one, other in zip(stages(module, ORDER), first_time, second_time, strict=True):
        for name, weights in one.items():
            assert torch.equal(weights, other[name]), "the same each time"
        assert not any(torch.equal(one[name], kept[name]) for name in names)
    untouched = [name for names in stages(module, ORDER)[1:] for name in names]
    assert all(torch.equal(first_time[0][name], kept[name]) for name in untouched)
    assert all(p is kept[name] for name, p in module.named_parameters())
    assert state_of(module) == before


def test_what_is_forgotten_keeps_its_size() -> None:
    generator = torch.Generator().manual_seed(1)
    filters = torch.full((64, 32, 3, 3), 0.3)
    forget(filters, generator)
    assert float(filters.square().mean().sqrt()) == pytest.approx(0.3, rel=0.02)
    assert abs(float(filters.mean())) < 0.01
    scales = torch.arange(50.0)
    forget(scales, generator)
    assert scales.sort().values.tolist() == list(range(50)) and scales.tolist() != list(range(50))
