"""Models of one's own, in the many spellings in which people save them."""

from __future__ import annotations

import argparse
import collections
import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, session_of
from grey_net import Net
from torch import Tensor, nn

from servelens.engine.folder.card import Card
from servelens.engine.folder.loading import ModelLoadError, build_module, load_module
from servelens.engine.session import Session
from servelens_archives.builder import build
from servelens_archives.errors import PreflightError, WeightsError
from servelens_archives.fitting import fit, left_out, with_class_count
from servelens_archives.open_weights import Unusable, read_state
from servelens_archives.recipe import load_recipe
from servelens_archives.weights import Origin, equip

STATE = Net(3).state_dict()
EXPECTED = Net(3).state_dict()
LINEAR = nn.Sequential(nn.Linear(4, 3))


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def recipe(folder: Path, model: str, rest: str = "") -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'name = "own"\n[model]\n{model}\n{rest}')
    return path


def opened(folder: Path, model: str, rest: str = "") -> tuple[Session, Card]:
    """What the worker will open, of a recipe with a file of weights."""
    read = load_recipe(recipe(folder, model, rest))
    card, _ = equip(folder, read.card, read.weights, seed=0)
    return session_of(load_module(folder, card), card, chunk=1), card


# ------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    "content",
    [
        {"ema": STATE, "epoch": 3},
        {"net": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}},
        {"weights": {"ema": STATE}, "state_dict": {"model": STATE}},
        {"model": STATE, "model_ema": {"n_averaged": torch.tensor(3)}},
        {"best": LINEAR},
    ],
)
def test_weights_are_found_under_any_key_that_alone_holds_some(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    expected = LINEAR.state_dict() if "best" in content else STATE
    assert same(read_state(saved(tmp_path / "a.pt", content)), expected)


def test_of_two_models_in_a_checkpoint_none_is_guessed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"generator": STATE, "critic": STATE, "epoch": 3})
    with pytest.raises(Unusable) as error:
        read_state(path)
    assert str(error.value) == (
        "holds weights under 'generator', 'critic'; save those that are meant alone, with "
        "torch.save(content['generator'], path)"
    )


BYSTANDERS = {
    "arguments": argparse.Namespace(lr=0.1, path=Path("x"), nested=argparse.Namespace(a=1)),
    "a score": np.float64(0.9),
    "scores": np.arange(3.0),
    "a date": datetime.datetime(2024, 1, 1),
    "a path": Path("runs/1"),
    "a history": collections.defaultdict(list, loss=[1.0, 2.0]),
}


@pytest.mark.parametrize("what", BYSTANDERS)
def test_what_stands_beside_the_weights_is_let_by(tmp_path: Path, what: str) -> None:
    path = saved(tmp_path / "a.ckpt", {"state_dict": STATE, what: BYSTANDERS[what]})
    assert same(read_state(path), STATE)


class Tattler:
    """Says so when anything of it is run; calls itself what is let by."""

    __module__ = "argparse"
    __qualname__ = "Namespace"
    ran = False

    def __reduce__(self) -> tuple[object, ...]:
        return Tattler, (), {"lr": 0.1}

    def __init__(self) -> None:
        Tattler.ran = True

    def __setstate__(self, state: object) -> None:
        Tattler.ran = True


def test_a_bystander_is_never_what_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argparse, "Namespace", Tattler)
    path = saved(tmp_path / "a.pt", {"state_dict": STATE, "args": Tattler()})
    Tattler.ran = False
    assert same(read_state(path), STATE)
    assert not Tattler.ran
    torch.load(path, weights_only=False)
    assert Tattler.ran, "the tattler must be a live one"


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "prefix", ["net.", "backbone.", "model.encoder.", "_orig_mod.module.", "module._orig_mod."]
)
def test_any_wrappers_prefix_is_taken_off(prefix: str) -> None:
    assert same(fit({prefix + n: v for n, v in STATE.items()}, EXPECTED), STATE)


def test_a_part_that_was_compiled_alone_has_its_own_names() -> None:
    state = {n.replace("conv.", "conv._orig_mod."): v for n, v in STATE.items()}
    assert same(fit(state, EXPECTED), STATE)


def test_an_average_of_weights_loses_its_counter() -> None:
    state = torch.optim.swa_utils.AveragedModel(Net(3)).state_dict()
    fitted = fit(state, EXPECTED)
    assert fitted.keys() == EXPECTED.keys()
    assert left_out(state, fitted) == ("n_averaged",)


def test_what_a_wrapper_has_beside_the_whole_model_is_left_out_and_told() -> None:
    state = {"model." + n: v for n, v in STATE.items()} | {"loss.weight": torch.ones(3)}
    fitted = fit(state, EXPECTED)
    assert same(fitted, STATE)
    assert left_out(state, fitted) == ("loss.weight",)
    assert Origin("file", "a.pt", left_out=("loss.weight",)).warnings() == (
        "a.pt holds more than the model has a use for, 1 left out: loss.weight",
    )
    assert Origin("file", "a.pt").warnings() == ()


def test_nothing_is_left_out_of_a_model_that_is_not_whole() -> None:
    state = {"body." + n: v for n, v in STATE.items() if "fc" not in n}
    state["last.weight"] = STATE["fc.weight"]
    assert set(fit(state, EXPECTED)) == {"conv.weight", "conv.bias", "last.weight"}


def test_of_two_copies_of_the_model_none_is_guessed() -> None:
    state = {who + n: v for who in ("student.", "teacher.") for n, v in STATE.items()}
    with pytest.raises(ModelLoadError) as error:
        fit(state, EXPECTED)
    assert str(error.value) == (
        "the model's weights are in it 2 times, under 'student.' and 'teacher.'; save the ones "
        "that are meant alone"
    )


@pytest.mark.parametrize(("theirs", "ours"), [("fc.1", "fc"), ("fc", "fc.1"), ("fc.a.1", "fc")])
def test_a_head_may_stand_in_a_sequential_or_alone(theirs: str, ours: str) -> None:
    state = {n.replace("fc", theirs): v for n, v in STATE.items()}
    expected = {n.replace("fc", ours): v for n, v in STATE.items()}
    assert same(fit(state, expected), expected)


@pytest.mark.parametrize("names", [("fc.0", "fc.2"), ("last",), ("fcs",)])
def test_another_head_is_not_taken_for_the_models(names: tuple[str, ...]) -> None:
    state = {n: v for n, v in STATE.items() if not n.startswith("fc.")}
    state |= {f"{name}.weight": STATE["fc.weight"] for name in names}
    assert not set(fit(state, EXPECTED)) & {"fc.weight", "fc.bias"}


# ------------------------------------------------------------------------- classes and channels


@pytest.mark.parametrize("classes", [1, 2, 7, 21841])
@pytest.mark.parametrize("beside", [{}, {"loss.pos_weight": torch.ones(5)}])
def test_any_number_of_classes_is_found(
    tmp_path: Path, classes: int, beside: dict[str, Tensor]
) -> None:
    card = load_recipe(recipe(tmp_path, 'architecture = "shufflenet_v2_x0_5"')).card
    state = torchvision.models.shufflenet_v2_x0_5(num_classes=classes).state_dict()
    wrapped = {f"model.{name}": value for name, value in state.items()} | beside
    assert with_class_count(tmp_path, card, wrapped).model.num_classes == classes


@pytest.mark.parametrize(
    "name",
    ["resnet18", "vgg11", "mobilenet_v3_small", "densenet121", "googlenet", "inception_v3",
     "convnext_tiny", "efficientnet_b0", "shufflenet_v2_x0_5", "squeezenet1_0"],
)  # fmt: skip
def test_torchvisions_models_take_grey_photos(tmp_path: Path, name: str) -> None:
    def first_of(rest: str) -> tuple[nn.Conv2d, set[str]]:
        text = f'architecture = "{name}"\nweights = "none"'
        with torch.device("meta"):
            module = build_module(tmp_path, load_recipe(recipe(tmp_path, text, rest)).card)
        found = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
        return found, set(module.state_dict())

    grey, names = first_of("[input]\nchannels = 1")
    colour, same_names = first_of("")
    assert names == same_names
    assert grey.weight.shape == (colour.out_channels, 1, *colour.kernel_size)
    how = ("stride", "padding", "dilation", "groups", "padding_mode")
    assert [getattr(grey, what) for what in how] == [getattr(colour, what) for what in how]


def test_grey_photos_are_normalised_by_one_number_where_the_recipe_says_none(
    tmp_path: Path,
) -> None:
    model = 'architecture = "resnet18"'
    spec = load_recipe(recipe(tmp_path, model, "[input]\nchannels = 1")).card.input
    assert spec.mean == pytest.approx([np.mean([0.485, 0.456, 0.406])])
    assert spec.std == pytest.approx([np.mean([0.229, 0.224, 0.225])], abs=1e-9)
    said = "[input]\nchannels = 1\nmean = [0.5]"
    spec = load_recipe(recipe(tmp_path, model, said)).card.input
    assert (spec.mean, spec.std) == ((0.5,), (0.226,))


# ------------------------------------------------------------------------- from the file to a map


def grey_resnet(classes: int = 3) -> nn.Module:
    module = torchvision.models.resnet18(num_classes=classes)
    module.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return module


@pytest.mark.slow
def test_a_grey_resnet_just_works_and_without_its_channels_is_told(tmp_path: Path) -> None:
    module = grey_resnet().eval()
    saved(tmp_path / "grey.pt", module.state_dict())
    model = 'architecture = "resnet18"\nweights = "grey.pt"'
    session, card = opened(tmp_path, model, "[input]\nchannels = 1\nsize = 64\nresize = 64")
    assert card.model.num_classes == 3
    assert same(session.model.module.state_dict(), module.state_dict())
    with pytest.raises(WeightsError) as error:
        opened(tmp_path, model)
    assert str(error.value) == (
        "grey.pt: the weights do not fit the model: 1 of another shape: conv1.weight (64, 1, 7, 7) "
        "where the model has (64, 3, 7, 7); say channels = 1 in [input], as these weights have it"
    )


@pytest.mark.slow
def test_weights_for_another_architecture_are_counted_and_the_first_named(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt", torchvision.models.resnet34(num_classes=3).state_dict())
    with pytest.raises(WeightsError) as error:
        opened(tmp_path, 'architecture = "resnet18"\nweights = "a.pt"')
    names = ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var")
    expected = ", ".join(f"layer1.2.{name}" for name in names)
    assert str(error.value) == (
        f"a.pt: the weights do not fit the model: 96 not in the model: {expected}, …"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("heads", [True, False])
def test_inceptions_open_with_the_heads_of_training_and_without(
    tmp_path: Path, name: str, heads: bool
) -> None:
    module = torchvision.models.get_model(
        name, num_classes=4, aux_logits=heads, init_weights=False
    ).eval()
    path = saved(tmp_path / "a.pth.tar", {"state_dict": module.state_dict()})
    read = load_recipe(recipe(tmp_path, f'architecture = "{name}"\nweights = "a.pth.tar"'))
    card, origin = equip(tmp_path, read.card, str(path), seed=0)
    image = torch.randn(2, 3, 299, 299)
    with torch.no_grad():
        torch.testing.assert_close(load_module(tmp_path, card)(image), module(image))
    assert bool(origin.left_out) == heads


LENET = """
from torch import nn


class LeNet(nn.Sequential):
    def __init__(self, classes):
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, classes),
        )
"""


def lenet(folder: Path, classes: int) -> str:
    """Writes LeNet-5 and weights of it; gives its [model] section."""
    (folder / "lenet.py").write_text(LENET)
    scope: dict[str, Callable[[int], nn.Module]] = {"__name__": "lenet"}  # type: ignore[dict-item]
    exec(LENET, scope)
    saved(folder / "lenet.pt", {"net": scope["LeNet"](classes).state_dict()})
    return (
        'file = "lenet.py"\nclass = "LeNet"\nweights = "lenet.pt"\n'
        f"kwargs = {{ classes = {classes} }}"
    )


@pytest.mark.slow
def test_a_lenet_of_28_pixels_and_a_single_logit_is_explained(tmp_path: Path) -> None:
    given = '[input]\nsize = 28\nresize = 28\nchannels = 1\n[output]\nlabels = ["no", "yes"]'
    session, _ = opened(tmp_path, lenet(tmp_path, 1), given)
    found = document(session, photo(), explain=["saliency", {"method": "grad_cam", "relu": False}])
    assert {p.label for p in found.predictions} == {"no", "yes"}
    assert sum(p.probability for p in found.predictions) == pytest.approx(1)
    assert session.describe()["default_layer"] == "5"
    for attribution in found.attributions:
        assert attribution.map is not None
        assert np.ptp(attribution.map) > 0


@pytest.mark.slow
def test_a_large_photo_of_a_resnet_is_explained(tmp_path: Path) -> None:
    saved(tmp_path / "own.pt", grey_resnet(2).state_dict())
    model = 'architecture = "resnet18"\nweights = "own.pt"'
    session, _ = opened(tmp_path, model, "[input]\nchannels = 1\nsize = 1024\nresize = 0")
    found = document(session, photo(), explain=[{"method": "grad_cam", "relu": False}])
    [attribution] = found.attributions
    assert attribution.map is not None
    assert attribution.map.shape == (32, 32)
    assert found.input.size == (1024, 1024)


@pytest.mark.slow
def test_an_input_that_the_model_does_not_take_is_told_beside_what_it_was(tmp_path: Path) -> None:
    path = recipe(tmp_path, lenet(tmp_path, 3), "[input]\nsize = 28\nresize = 28")
    with pytest.raises(PreflightError) as error:
        build(load_recipe(path), tmp_path / "out")
    assert "to have 1 channels, but got 3 channels instead" in str(error.value)
    assert str(error.value).endswith("; by [input] the model is given 3 x 28 x 28 pixels")
