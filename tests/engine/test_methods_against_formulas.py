"""The attribution methods that Captum lacks or computes otherwise, against their formulas."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from engine_fixtures.one_map import LAYER, PHOTO, TARGET, linear, ours, tiny
from engine_fixtures.oracles import assert_close, model_input, one_pass, untouched
from torch import nn
from torch.nn import functional

from servelens.engine.kit import Source
from servelens.engine.series.cells import cells_of
from servelens.engine.series.soft_masks import SoftMasks

# Captum says so each time.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Setting forward, backward hooks:UserWarning"),
]


def test_cams_of_one_pass_are_their_formulas() -> None:
    found = one_pass(
        tiny().model.module, model_input(tiny(), PHOTO), lambda row: row[TARGET], LAYER
    )
    a, g = found.activation, found.layer_gradient
    assert_close(ours(tiny(), "hires_cam", layer=LAYER), np.maximum((a * g).sum(0), 0))
    layer_cam = np.maximum((np.maximum(g, 0) * a).sum(0), 0)
    assert_close(ours(tiny(), "layer_cam", layer=LAYER), layer_cam)
    weights = [(a[c] * g[c]).sum() / a[c].sum() if a[c].sum() else 0.0 for c in range(len(a))]
    xgrad = np.maximum(sum(w * a[c] for c, w in enumerate(weights)), 0)
    assert_close(ours(tiny(), "xgrad_cam", layer=LAYER), xgrad)
    curved = np.zeros_like(a[0])
    for c in range(len(a)):
        bent = 2 * g[c] ** 2 + a[c].sum() * g[c] ** 3
        share = np.divide(g[c] ** 2, bent, out=np.zeros_like(bent), where=bent != 0)
        curved += (share * np.maximum(g[c], 0)).sum() * a[c]
    assert_close(ours(tiny(), "grad_cam_pp", layer=LAYER), np.maximum(curved, 0), 1e-4)
    places = a.reshape(len(a), -1).T
    values, vectors = np.linalg.eigh(np.cov(places.T))
    first = (places - places.mean(0)) @ vectors[:, values.argmax()]
    first *= np.sign(first @ places.sum(1))
    eigen = np.maximum(first.reshape(a.shape[1:]), 0)
    assert_close(ours(tiny(), "eigen_cam", layer=LAYER), eigen, 1e-4)


def test_cams_with_an_image_for_each_channel_are_their_formulas() -> None:
    module, image = untouched(tiny().model.module), model_input(tiny(), PHOTO).double()
    found = one_pass(tiny().model.module, image, lambda row: row[TARGET], LAYER)
    maps = torch.from_numpy(found.activation)
    seen, without = [], []
    for c, one in enumerate(maps):
        large = functional.interpolate(one[None, None], (32, 32), mode="bilinear")
        span = (large.max() - large.min()) or 1.0
        seen.append(module(image * (large - large.min()) / span)[0, TARGET])

        def silence(module: nn.Module, inputs: Any, output: torch.Tensor, c=c) -> torch.Tensor:
            output = output.clone()
            output[:, c] = 0
            return output

        handle = module.get_submodule(LAYER).register_forward_hook(silence)
        without.append(module(image)[0, TARGET])
        handle.remove()
    score_cam = (torch.softmax(torch.stack(seen), 0)[:, None, None] * maps).sum(0).relu()
    assert_close(ours(tiny(), "score_cam", layer=LAYER), score_cam.detach().numpy())
    whole = module(image)[0, TARGET]
    lost = (whole - torch.stack(without)) / whole.abs()
    ablation_cam = (lost[:, None, None] * maps).sum(0).relu().detach().numpy()
    assert_close(ours(tiny(), "ablation_cam", layer=LAYER), ablation_cam, 1e-4)


def test_noise_methods_without_noise_are_the_gradient() -> None:
    found = one_pass(tiny().model.module, model_input(tiny(), PHOTO), lambda row: row[TARGET])
    quiet = {"samples": 3, "noise": 0.0}
    assert_close(ours(tiny(), "smooth_grad", **quiet), found.input_gradient.sum(0))
    assert_close(ours(tiny(), "smooth_grad_sq", **quiet), (found.input_gradient**2).sum(0))
    assert np.abs(ours(tiny(), "var_grad", **quiet)).max() < 1e-10


def test_under_noise_the_variance_is_the_mean_square_less_the_squared_mean() -> None:
    noisy = {"samples": 20, "noise": 0.2, "per_channel": True}
    mean, square = ours(tiny(), "smooth_grad", **noisy), ours(tiny(), "smooth_grad_sq", **noisy)
    assert_close(ours(tiny(), "var_grad", **noisy), square - mean**2, 1e-3)


def test_of_a_linear_model_each_cell_is_worth_what_it_adds() -> None:
    """Shapley values, and the weights of a linear surrogate, are then known exactly."""
    image = model_input(linear(), PHOTO)
    gradient = one_pass(linear().model.module, image, lambda row: row[TARGET]).input_gradient
    worth = (gradient * image[0].double().numpy()).sum(0)
    cells = cells_of((3, 32, 32), 3).numpy()
    per_cell = np.array([worth[cells == cell].sum() for cell in range(9)])[cells]
    black = {"grid": 3, "baseline": "mean"}
    assert_close(ours(linear(), "shapley_value_sampling", orders=2, **black), per_cell, 1e-4)
    assert_close(ours(linear(), "kernel_shap", samples=60, **black), per_cell, 1e-4)
    assert_close(ours(linear(), "lime", samples=400, **black), per_cell, 0.05)
    gradient_shap = ours(linear(), "gradient_shap", noise=0.0, samples=4)
    assert_close(gradient_shap, worth, 1e-4)


def test_shapley_values_of_many_orders_are_the_exact_ones() -> None:
    module, image = untouched(tiny().model.module), model_input(tiny(), PHOTO).double()
    cells = cells_of((3, 32, 32), 2)

    def score(shown: tuple[int, ...]) -> float:
        mask = torch.stack([cells == cell for cell in shown]).any(0) if shown else cells < 0
        return module(image * mask)[0, TARGET].item()

    change = score((0, 1, 2, 3)) - score(())
    exact = np.zeros(4)
    for cell in range(4):
        others = [other for other in range(4) if other != cell]
        for size in range(4):
            for shown in itertools.combinations(others, size):
                weight = math.factorial(size) * math.factorial(3 - size) / math.factorial(4)
                exact[cell] += weight * (score((*shown, cell)) - score(shown))
    for method, how in (
        ("shapley_value_sampling", {"orders": 1000}),
        ("kernel_shap", {"samples": 3000}),
    ):
        found = ours(tiny(), method, grid=2, **how)
        assert_close(found, exact[cells.numpy()], 0.05)
        per_cell = [found[(cells == cell).numpy()][0] for cell in range(4)]
        assert sum(per_cell) == pytest.approx(change, rel=1e-3, abs=1e-6)


def test_rise_is_the_slope_of_the_score_on_what_is_shown() -> None:
    module, image = untouched(tiny().model.module), model_input(tiny(), PHOTO)
    params = {"samples": 12, "cells": 4, "baseline": "mean"}
    samples = SoftMasks().lay_out(Source(image[0], tiny().card.input, seed=0), params)
    masks = samples.masks(range(12)).double()
    assert masks.min() >= 0 and masks.max() <= 1 and len({float(m.mean()) for m in masks}) == 12
    whole, expected = module(image.double())[0, TARGET], torch.zeros(32, 32).double()
    for mask in masks:
        expected += (module(image.double() * mask)[0, TARGET] - whole) * (mask - 0.5) / 0.25 / 12
    assert_close(ours(tiny(), "rise", **params), expected.detach().numpy(), 1e-4)
