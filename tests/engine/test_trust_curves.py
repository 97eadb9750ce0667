"""Deletion and insertion against what they must be: a closed form, and each image made by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import model_input
from engine_fixtures.photos import encode, noise, photo
from engine_fixtures.sessions import document, open_session, seeded
from engine_fixtures.watches import counted
from tiny_net import TinyNet
from torch import nn

from servelens.engine.folder.card import InputSpec, OutputSpec
from servelens.engine.trust.curves import area
from servelens.engine.trust.places import on_input, order_of, random_map

SIDE = 16
SEEN_WHOLE = InputSpec(size=(SIDE, SIDE), resize=0, crop="none", mean=(0.0,) * 3, std=(1.0,) * 3)
STEPS = 16


class LinearChanceNet(nn.Module):
    """The probability of class 0 is a weighted sum of the pixels, each with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.arange(1, SIDE * SIDE + 1, dtype=torch.float32)
        shuffled = weights[torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(3))]
        self.weights = nn.Parameter((shuffled / (3 * shuffled.sum())).view(1, 1, SIDE, SIDE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chance = (x * self.weights).sum(dim=(1, 2, 3)).clamp(1e-6, 1 - 1e-6)
        return torch.stack((chance.log(), (1 - chance).log()), dim=1)


def slow_blur(image: np.ndarray) -> np.ndarray:
    """Pixel by pixel under a Gaussian of 8 % of the side, the border's pixels repeated outwards."""
    sigma = 0.08 * min(image.shape[1:])
    reach = max(1, round(3 * sigma))
    bell = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-reach, reach + 1)]
    _, height, width = image.shape
    blurred = np.zeros_like(image)
    for h in range(height):
        for w in range(width):
            for i, down in zip(range(-reach, reach + 1), bell, strict=True):
                for j, right in zip(range(-reach, reach + 1), bell, strict=True):
                    near = min(max(h + i, 0), height - 1), min(max(w + j, 0), width - 1)
                    blurred[:, h, w] += down * right * image[:, near[0], near[1]]
    return blurred / sum(bell) ** 2


def trapezoids(curve: list[float]) -> float:
    return sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / (len(curve) - 1)


def test_where_the_probability_is_linear_the_curves_have_a_closed_form() -> None:
    """Saliency is then the weights themselves, so that what goes first is known."""
    session = open_session(seeded(LinearChanceNet), input=SEEN_WHOLE)
    picture = encode(noise(SIDE, SIDE))
    (found,) = document(session, picture, explain="saliency", target=0, trust=True).attributions
    image = model_input(session, picture)[0].double().numpy()
    weights = session.model.module.weights.detach().double().numpy()[0, 0]
    lost = (weights * (image - slow_blur(image))).sum(axis=0)
    whole = (weights * image).sum()
    first = [
        lost.ravel()[p] for p in sorted(range(weights.size), key=lambda p: -weights.ravel()[p])
    ]
    gone = [sum(first[: weights.size * step // STEPS]) for step in range(STEPS + 1)]
    deletion = [whole - amount for amount in gone]
    insertion = [whole - gone[-1] + amount for amount in gone]
    assert np.ptp(deletion) > 1e-3, "the curve must have a shape"
    card = found.trust
    np.testing.assert_allclose(card.curves.deletion, deletion, atol=2e-6)
    np.testing.assert_allclose(card.curves.insertion, insertion, atol=2e-6)
    assert card.deletion_auc == pytest.approx(trapezoids(deletion), abs=2e-6)
    assert card.insertion_auc == pytest.approx(trapezoids(insertion), abs=2e-6)


def slow_curve(session, start, end, turns, probability):
    """From one image to the other, step by step, pixel by pixel, one image a pass."""
    ordered = sorted(np.ndindex(turns.shape), key=lambda place: turns[place])
    curve = []
    for step in range(STEPS + 1):
        changed = start.copy()
        for h, w in ordered[: round(len(ordered) * step / STEPS)]:
            changed[:, h, w] = end[:, h, w]
        with torch.no_grad():
            logits = session.model.module(torch.from_numpy(changed).float()[None])[0].double()
        curve.append(probability(logits))
    return curve


def softmax_of(index):
    return lambda logits: float(torch.softmax(logits, dim=0)[index])


def share_of(index, versus):
    return lambda logits: float(torch.sigmoid(logits[index] - logits[versus]))


@pytest.mark.parametrize("method", ["grad_cam", "input_x_gradient", "guided_grad_cam"])
@pytest.mark.parametrize(
    ("target", "probability"),
    [(2, softmax_of(2)), ({"class": 1, "versus": 4}, share_of(1, 4))],
)
def test_all_four_curves_are_those_made_by_hand(method, target, probability) -> None:
    session = open_session(seeded(TinyNet))
    (found,) = document(
        session, photo(), explain=method, target=target, trust=True, seed=5
    ).attributions
    image = model_input(session, photo())[0].double().numpy()
    ends = image, slow_blur(image)
    size = image.shape[1:]
    places = found.map.shape if method != "guided_grad_cam" else (8, 8)
    ours, chance = (order_of(on_input(m, size), 5) for m in (found.map, random_map(places, 5)))
    for name, turns in (("", ours), ("random_", chance)):
        for way, (start, end) in (("deletion", ends), ("insertion", ends[::-1])):
            expected = slow_curve(session, start, end, turns, probability)
            curve = getattr(found.trust.curves, f"{name}{way}")
            np.testing.assert_allclose(curve, expected, atol=2e-6)
            auc = getattr(found.trust, f"{name}{way}_auc")
            assert auc == pytest.approx(trapezoids(expected), abs=2e-6) and 0 < auc < 1


def test_a_single_logit_has_its_sigmoid() -> None:
    session = open_session(seeded(TinyNet, num_classes=1))
    for target, sign in ((1, 1), (0, -1)):
        answer = document(session, explain="saliency", target=target, trust=True)
        logit = next(p.logit for p in answer.predictions if p.index == target)
        card = answer.attributions[0].trust
        assert card.curves.deletion[0] == pytest.approx(1 / (1 + math.exp(-logit)), abs=2e-6)
        with torch.no_grad():
            own = float(session.model.module(model_input(session, photo())))
        assert logit == pytest.approx(sign * own, abs=1e-5)


def test_a_model_that_answers_no_probabilities_has_no_curves_and_says_so() -> None:
    session = open_session(seeded(TinyNet), output=OutputSpec(activation="none"))
    card = document(session, explain="saliency", trust=True).attributions[0].trust
    assert card.deletion_auc is card.random_insertion_auc is card.curves is None
    assert "no probabilities" in card.compared_with["deletion_auc"]
    assert card.stability is not None and card.forwards == 5


def test_ends_and_random_maps_are_run_once_for_all_maps_of_a_row() -> None:
    session = open_session(seeded(TinyNet))
    explain = ["grad_cam", "hires_cam", "saliency"]
    with counted(session) as passes:
        answer = document(session, explain=explain, target=[1, 2], trust=True)
    # The image; the blurred image; random maps of two resolutions; six maps; two noisy runs and
    # three of random weights, which all maps share.
    assert answer.cost.forwards == 1 + 1 + 30 * 2 + 30 * 6 + 2 + 3 == sum(passes.forwards)
    assert answer.cost.backwards == 2 * 6 == sum(passes.backwards)
    assert {found.trust.forwards for found in answer.attributions} == {61 + 5}
    cards = [found.trust for found in answer.attributions]
    assert cards[0].curves.random_deletion == cards[2].curves.random_deletion, "of one target"
    assert cards[0].curves.random_deletion != cards[1].curves.random_deletion, "of two targets"


def test_equal_values_take_turns_by_lot_and_not_from_the_top_left() -> None:
    heat = np.zeros((20, 20))
    heat[5, 5] = 1
    turns = order_of(heat, seed=0)
    assert turns[5, 5] == 0 and sorted(turns.ravel()) == list(range(400))
    assert abs(np.corrcoef(turns.ravel(), np.arange(400))[0, 1]) < 0.2
    assert (turns != order_of(heat, seed=1)).any()


def test_the_area_under_a_curve_is_its_mean_height() -> None:
    assert area([1.0] * 17) == 1 and area([0.0] * 17) == 0
    assert area(np.linspace(0, 1, 17)) == pytest.approx(0.5)
    assert area([1.0] + [0.0] * 16) == pytest.approx(1 / 32)
