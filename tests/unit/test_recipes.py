"""The recipes of torchvision's models: fed as torchvision says, and each explains a photo.

The preflight's own choices are held against known ones in test_survey_architectures; here it is
what an archive of the recipe would show first.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode, noise, photo
from engine_fixtures.sessions import document, session_of
from PIL import Image
from torchvision.models import get_model_weights

from servelens.engine.folder.loading import build_module
from servelens.engine.geometry import to_input, view_photo
from servelens.engine.session import Session
from servelens_archives.recipe import DEFAULT_WEIGHTS, Recipe, load_recipe
from servelens_archives.shipped import RECIPES

NAMES = (
    *("resnet18", "resnet34", "resnet50", "vgg16", "vgg19", "inception_v3", "googlenet"),
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    *("efficientnet_b0", "efficientnet_b2", "efficientnet_b3"),
    *("densenet121", "convnext_tiny", "shufflenet_v2_x1_0"),
)
each = pytest.mark.parametrize("name", NAMES)


def recipe_of(name: str) -> Recipe:
    return load_recipe(RECIPES / f"{name}.toml")


def transforms_of(name: str) -> Any:
    return get_model_weights(name).DEFAULT.transforms()


# ------------------------------------------------------------------------- what torchvision says


def test_there_is_a_recipe_for_each_and_a_test_of_every_recipe_that_is_torchvisions() -> None:
    found = {path.stem: load_recipe(path).card for path in RECIPES.glob("*.toml")}
    assert {name for name, card in found.items() if card.model.architecture} == set(NAMES)
    assert all(card.name == name and card.title != name for name, card in found.items())


@each
def test_the_input_is_what_the_weights_were_trained_on(name: str) -> None:
    recipe, said = recipe_of(name), transforms_of(name)
    spec = recipe.card.input
    assert recipe.weights == DEFAULT_WEIGHTS
    assert recipe.card.model.architecture == name
    assert (list(spec.size), [spec.resize]) == (said.crop_size * 2, said.resize_size)
    assert (list(spec.mean), list(spec.std)) == (said.mean, said.std)
    assert (spec.interpolation, spec.crop) == (said.interpolation.value, "center")


@each
def test_a_photo_goes_in_as_torchvisions_own_transforms_have_it(name: str) -> None:
    spec = recipe_of(name).card.input
    image = noise(width=500, height=375).resize((640, 480), Image.Resampling.BICUBIC)
    found = to_input([view_photo(encode(image), spec, 10**6)], spec, torch.device("cpu"))
    torch.testing.assert_close(found[0], transforms_of(name)(image))


@each
def test_the_labels_are_those_of_the_weights(name: str) -> None:
    labels = recipe_of(name).card.output.labels
    assert labels is not None
    assert list(labels) == get_model_weights(name).DEFAULT.meta["categories"]


# --------------------------------------------------------------------- what an archive would show


@pytest.fixture(params=NAMES, scope="module")
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Of one recipe after the other, with random weights."""
    card = recipe_of(request.param).card
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build_module(Path(), card)
    return session_of(module.eval(), card, chunk=1)


@pytest.mark.slow
def test_a_recipes_layers_and_stages_are_sensible(session: Session) -> None:
    capability = session.describe()
    layers = {layer["name"]: layer for layer in capability["layers"]}
    shown = [capability["default_layer"], *capability["default_layers"]]
    assert capability["warnings"] == []
    for name in shown:
        _, height, width = layers[name]["shape"]
        assert min(height, width) > 1
        assert layers[name]["stage"] is not None
    order = list(layers)
    assert capability["default_layers"] == sorted(capability["default_layers"], key=order.index)
    assert 3 <= len(set(shown)) <= 6
    assert shown[0] in capability["default_layers"]


@pytest.mark.slow
def test_stages_come_one_after_the_other_and_each_has_layers(session: Session) -> None:
    stages = [layer["stage"] for layer in session.describe()["layers"] if layer["stage"]]
    met = [stage for stage, _ in groupby(stages)]
    written = list(session.card.lens.stages)
    assert met == (written or [*(f"stage {n}" for n in range(1, len(met))), "head"])
    assert len(met) >= 5


@pytest.mark.slow
def test_a_recipes_model_explains_a_photo(session: Session) -> None:
    found = document(
        session,
        photo(width=340, height=320),
        explain=[{"method": "grad_cam", "relu": False}, "saliency"],
    )
    assert len(found.predictions) == 5
    assert [a.layer for a in found.attributions] == [session.describe()["default_layer"], None]
    for attribution in found.attributions:
        assert attribution.problem is None
        assert attribution.map is not None
        assert np.isfinite(attribution.map).all()
        assert np.ptp(attribution.map) > 0
