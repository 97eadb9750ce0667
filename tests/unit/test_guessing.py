"""Which architecture a file of weights is for, found by names and shapes alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from servelens.engine.folder.card import Card, InputSpec, ModelSource
from servelens_archives import guessing
from servelens_archives.drafting import draft, name_of
from servelens_archives.fitting import fit
from servelens_archives.guessing import Comparison, guess, known_architectures
from servelens_archives.hollow import hollow_state
from servelens_archives.recipe import recipe_of
from servelens_archives.spelling import as_toml
from servelens_archives.unpickling import Unusable

# All that torchvision has are made once, which takes seconds.
pytestmark = pytest.mark.slow

ARCHITECTURES = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_y_400mf", "resnet18",
    "resnet50", "shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1", "vgg16", "vgg16_bn",
)  # fmt: skip
State = dict[str, Tensor]


@cache
def plain_state(card_name: str) -> State:
    """Each architecture is made once for all tests."""
    return hollow_state(Card(name=card_name, model=ModelSource(architecture=card_name)))


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "hollow_state", lambda card: plain_state(card.name))


def own(architecture: str, classes: int = 1000, channels: int = 3) -> State:
    """As torchvision's model is changed for other classes, and for grey photos."""
    source = ModelSource(architecture=architecture, num_classes=classes)
    return hollow_state(Card("own", model=source, input=InputSpec(channels=channels)))


def renamed(state: State, rename: Callable[[str], str]) -> State:
    return {rename(name): value for name, value in state.items()}


# -------------------------------------------------------------------------------------- what it is


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("classes", "channels"), [(7, 3), (2, 1)])
def test_an_architecture_is_known_with_any_head_and_first_layer(
    architecture: str, classes: int, channels: int
) -> None:
    found = guess(own(architecture, classes, channels))
    assert (found.architecture, found.classes, found.channels) == (architecture, classes, channels)


@pytest.mark.parametrize("architecture", ["resnet18", "vgg16_bn", "inception_v3"])
@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.module.", "net.backbone."])
def test_a_wrappers_prefix_hides_nothing(architecture: str, prefix: str) -> None:
    found = guess(renamed(own(architecture, 4), lambda name: prefix + name))
    assert (found.architecture, found.classes) == (architecture, 4)


def test_a_head_in_a_sequential_with_what_has_no_weights_is_a_head() -> None:
    state = renamed(own("resnet18", 6), lambda name: name.replace("fc.", "fc.1."))
    assert guess(state).classes == 6


@pytest.mark.parametrize("architecture", ["googlenet", "inception_v3"])
def test_heads_that_only_training_uses_are_no_hindrance(architecture: str) -> None:
    with torch.device("meta"):
        whole = models.get_model(architecture, weights=None, num_classes=9, init_weights=False)
    assert any("aux" in name.lower() for name in whole.state_dict())
    found = guess(whole.state_dict())
    assert (found.architecture, found.classes) == (architecture, 9)


def test_a_file_without_the_counters_of_batch_norms_is_known() -> None:
    state = {n: v for n, v in own("resnet50").items() if not n.endswith("num_batches_tracked")}
    assert guess(state).architecture == "resnet50"


def test_no_two_of_torchvisions_architectures_are_taken_for_each_other() -> None:
    names = known_architectures()
    assert len(names) == len(set(names)) > 70
    for architecture in names:
        state = own(architecture, 3, 1)
        for other in names:
            compared = Comparison(other, plain_state(other), fit(state, plain_state(other)))
            assert (not compared.strays) == (other == architecture), (architecture, other)


# ---------------------------------------------------------------------------------- what it is not


def test_what_is_nothing_of_torchvisions_takes_a_recipe() -> None:
    state = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 2)).state_dict()
    with pytest.raises(Unusable) as error:
        guess(state)
    assert str(error.value) == (
        "fits no architecture of torchvision's; a model of your own class takes a "
        'recipe with file = "net.py" and class = "Net"'
    )


def test_what_is_nearly_one_says_where_it_differs() -> None:
    state = own("resnet18")
    state["layer3.0.conv1.weight"] = torch.empty(256, 128, 5, 5, device="meta")
    with pytest.raises(Unusable) as error:
        guess(state)
    assert "the nearest is resnet18, of whose 122 tensors 99% fit (1 that differ: " in str(
        error.value
    )
    assert "layer3.0.conv1.weight" in str(error.value)


def test_a_head_of_several_layers_cannot_be_guessed() -> None:
    state = {name: value for name, value in own("resnet18").items() if not name.startswith("fc.")}
    head = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 3))
    state |= {f"fc.{name}": value for name, value in head.state_dict().items()}
    with pytest.raises(Unusable, match="is a resnet18 but for the head, which has other layers"):
        guess(state)


def test_no_photo_has_four_channels() -> None:
    with pytest.raises(Unusable, match="a resnet18 whose first layer takes 4 channels, where"):
        guess(own("resnet18", channels=4))


def test_a_model_that_is_there_twice_is_not_guessed() -> None:
    state = own("resnet18")
    twice = renamed(state, lambda n: f"a.{n}") | renamed(state, lambda n: f"b.{n}")
    with pytest.raises(Unusable, match="the model's weights are in it 2 times"):
        guess(twice)


def test_an_architecture_that_is_said_is_the_only_one_tried() -> None:
    with pytest.raises(Unusable, match="the nearest is resnet34, of whose 218"):
        guess(own("resnet18"), ["resnet34"])


# --------------------------------------------------------------------------------------- its recipe


def test_a_draft_is_a_recipe_that_is_read_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "My birds (best).pt"
    drafted = draft(file, own("inception_v3", 4))
    table = tomllib.loads(as_toml(drafted.table, drafted.findings))
    assert table == drafted.table
    recipe = recipe_of(table, tmp_path, "birds")
    assert recipe.weights == str(file)
    assert recipe.card.name == "My-birds-best"
    assert recipe.card.input.size == (299, 299) and recipe.card.input.resize == 342
    assert recipe.card.model.num_classes == 4
    assert recipe.card.model.kwargs == {"transform_input": True}
    assert recipe.card.lens.stages["stem"] == "Conv2d_*"
    assert drafted.findings[:2] == (
        "all 566 tensors are those of an inception_v3",
        "4 classes by its head, and photos in colour by its first layer",
    )


def test_a_grey_model_is_fed_one_channel(tmp_path: Path) -> None:
    recipe = recipe_of(draft(tmp_path / "a.pt", own("resnet18", 2, 1)).table, tmp_path, "a")
    assert recipe.card.input.channels == 1
    assert (recipe.card.input.mean, recipe.card.input.std) == ((0.449,), (0.226,))


def test_a_thousand_classes_are_imagenets(tmp_path: Path) -> None:
    recipe = recipe_of(draft(tmp_path / "a.pt", own("resnet18")).table, tmp_path, "a")
    assert recipe.card.output.labels is not None
    assert recipe.card.output.labels[1] == "goldfish"


@pytest.mark.parametrize(
    "beside",
    [
        {"classes": ["owl", "wren"]},
        {"class_names": ("owl", "wren")},
        {"epoch": 3, "class_to_idx": {"wren": 1, "owl": 0}},
        {"idx_to_class": {0: "owl", 1: "wren"}},
        {"id2label": {"0": "owl", "1": "wren"}},
    ],
)
def test_names_that_were_saved_beside_the_weights_are_found(beside: dict[str, Any]) -> None:
    state = own("resnet18", 2)
    drafted = draft(Path("a.pt"), state, "resnet18", {"state_dict": state, **beside})
    assert drafted.table["output"] == {"labels": ["owl", "wren"]}
    assert "beside the weights" in drafted.findings[-1]


@pytest.mark.parametrize(
    "beside",
    [
        {"classes": ["owl"]},
        {"classes": [1, 2]},
        {"classes": "ow"},
        {"classes": ["owl", ""]},
        {"classes": ["owl", "x" * 201]},
        {"class_to_idx": {"owl": 0, "wren": 2}},
        {"class_to_idx": {"owl": True, "wren": False}},
        {"labels": {"a": object(), "b": object()}},
        ["owl", "wren"],
        None,
    ],
)
def test_what_are_no_names_of_these_classes_is_passed_over(beside: Any) -> None:
    drafted = draft(Path("a.pt"), own("resnet18", 2), "resnet18", beside)
    assert "output" not in drafted.table
    assert drafted.findings[-1] == "what the classes are called, the file does not say"


@pytest.mark.parametrize(
    ("file", "name"),
    [("birds.pt", "birds"), ("ü b.pt", "b"), ("...pt", "model"), ("x" * 200 + ".pt", "x" * 100)],
)
def test_a_files_name_becomes_a_models(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


@pytest.mark.parametrize("text", ['a "quoted" \\ one', "tab\tand\nline", "\x7f\x00", "ü 鳥 🐦"])
def test_any_text_is_written_so_that_it_is_read_back(text: str) -> None:
    table = {"a": text, "section": {text: [text, 1, 2.5, True], "inner": {"b": 1e-07}}}
    assert tomllib.loads(as_toml(table)) == table
