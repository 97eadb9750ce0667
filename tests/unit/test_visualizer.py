"""The Python API on a module of this process, against plain PyTorch: hooks, and means by hand."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from engine_fixtures.photos import noise
from engine_fixtures.sessions import seeded
from matplotlib.figure import Figure
from PIL import Image
from tiny_net import TinyNet
from torch import nn
from torchvision import transforms

from servelens.client import BadPhoto, LensProblem, NothingToShow, NotSaved
from servelens.visualizer import FeatureVisualizer, LayerNotFound
from servelens.visualizer.similarity import similarities

SIZE = 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
LAYERS = [
    "stem", "block.conv1", "block.bn1", "block.conv2", "block.bn2", "block.relu", "block", "last",
]  # fmt: skip


def picture(seed: int = 0) -> Image.Image:
    return noise(60, 48, seed=seed)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return seeded(TinyNet)


@pytest.fixture(scope="module")
def viz(module: nn.Module) -> FeatureVisualizer:
    return FeatureVisualizer(module, use_cuda=False, input_size=SIZE, mean=MEAN, std=STD)


def view(image: Image.Image) -> torch.Tensor:
    see = transforms.Compose([
        transforms.Resize(round(SIZE * 256 / 224)), transforms.CenterCrop(SIZE),
        transforms.ToTensor(), transforms.Normalize(MEAN, STD),
    ])  # fmt: skip
    result: torch.Tensor = see(image)
    return result


def hooked(module: nn.Module, image: Image.Image, *layers: str) -> list[torch.Tensor]:
    """What the layers give, as one who knows torchvision and hooks would find it out."""
    seen: dict[str, torch.Tensor] = {}
    handles = [
        module.get_submodule(layer).register_forward_hook(
            lambda _, __, out, layer=layer: seen.update({layer: out.clone()})
        )
        for layer in layers
    ]
    with torch.no_grad():
        module(view(image)[None])
    for handle in handles:
        handle.remove()
    return [seen[layer] for layer in layers]


@pytest.mark.parametrize("layer", LAYERS)
def test_features_are_what_a_hook_sees(
    viz: FeatureVisualizer, module: nn.Module, layer: str
) -> None:
    (expected,) = hooked(module, picture(), layer)
    got = viz.get_features(picture(), layer)
    assert isinstance(got, torch.Tensor)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_features_of_a_batch_have_a_row_for_each_photo(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    pictures = [picture(seed) for seed in range(3)]
    batch = torch.stack([transforms.functional.pil_to_tensor(p) for p in pictures])
    expected = torch.cat([hooked(module, p, "block")[0] for p in pictures])
    torch.testing.assert_close(viz.get_features(batch, "block"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_statistics_are_as_documented(
    viz: FeatureVisualizer, module: nn.Module, layer: str
) -> None:
    (features,) = hooked(module, picture(), layer)
    means = features[0].mean(dim=(1, 2))
    assert viz.get_feature_statistics(picture(), layer) == {
        "mean": pytest.approx(features.mean().item(), abs=1e-4),
        "std": pytest.approx(features.std().item(), abs=1e-4),
        "sparsity": pytest.approx((features == 0).float().mean().item(), abs=2e-3),
        "max": pytest.approx(features.max().item(), abs=1e-4),
        "min": pytest.approx(features.min().item(), abs=1e-4),
        "active_channels": int((means > 0.01).sum()),
        "num_channels": features.shape[1],
        "spatial_size": tuple(features.shape[2:]),
        "dead_channels": int((features[0] == 0).all(dim=2).all(dim=1).sum()),
    }


def test_eight_layers_are_compared_by_one_forward(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    table = viz.compare_layers(picture(), LAYERS)
    assert list(table) == LAYERS
    for layer in LAYERS:
        assert table[layer] == viz.get_feature_statistics(picture(), layer)
    (session,) = [viz._source._opened[1]]  # type: ignore[attr-defined]
    calls = []
    with_hook = session.model.module.register_forward_hook(lambda *_: calls.append(1))
    viz.compare_layers(picture(1), LAYERS)
    with_hook.remove()
    assert len(calls) == 1


def test_top_features_are_those_of_the_highest_mean(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    (features,) = hooked(module, picture(), "block")
    means = features[0].mean(dim=(1, 2))
    values, order = means.topk(5)
    got = viz.get_top_activating_features(picture(), "block", top_k=5)
    assert [channel for channel, _ in got] == order.tolist()
    assert [mean for _, mean in got] == pytest.approx(values.tolist(), abs=1e-4)
    assert len(viz.get_top_activating_features(picture(), "block")) == 8


def test_the_most_common_features_are_counted_over_the_images(viz: FeatureVisualizer) -> None:
    pictures = [picture(seed) for seed in range(6)]
    counted: Counter[int] = Counter()
    for one in pictures:
        counted.update(c for c, _ in viz.get_top_activating_features(one, "last", top_k=4))
    got = viz.get_most_common_features(pictures, "last", top_k=4, most_common=3)
    assert [count for _, count in got] == [count for _, count in counted.most_common(3)]
    assert all(counted[channel] == count for channel, count in got)


@pytest.mark.parametrize("sort_by", ["activation", "variance", "random", "relevance"])
def test_feature_maps_are_drawn_with_their_channel_and_mean(
    viz: FeatureVisualizer, module: nn.Module, sort_by: str
) -> None:
    before = dict(mpl.rcParams)
    figure = viz.plot_feature_maps(picture(), "block", num_features=4, sort_by=sort_by)
    assert isinstance(figure, Figure)
    (features,) = hooked(module, picture(), "block")
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert len(drawn) == 4
    for axes in drawn:
        name, mean = axes.get_title().splitlines()
        expected = features[0, int(name.removeprefix("channel "))]
        assert mean == f"mean {expected.mean():.3f}"
        shown = axes.images[0].get_array()
        np.testing.assert_allclose(shown, expected, rtol=1e-4, atol=1e-4)
    assert dict(mpl.rcParams) == before
    assert __import__("matplotlib.pyplot").pyplot.get_fignums() == []


@pytest.mark.slow
def test_figures_have_the_size_and_the_file_that_were_asked_for(
    viz: FeatureVisualizer, tmp_path: Path
) -> None:
    path = tmp_path / "maps.png"
    figure = viz.plot_feature_maps(picture(), "block", figsize=(5, 3), save_path=str(path))
    assert tuple(figure.get_size_inches()) == (5, 3)
    with Image.open(path) as saved:
        assert saved.size == (500, 300)
        assert saved.text["Software"].startswith("servelens ")  # type: ignore[attr-defined]
    with pytest.raises(NotSaved, match="ends in none of"):
        viz.plot_feature_maps(picture(), "block", save_path=tmp_path / "maps.gifx")
    with pytest.raises(NotSaved, match="No such file"):
        viz.plot_feature_maps(picture(), "block", save_path=tmp_path / "no" / "maps.png")


def test_comparisons_are_drawn_as_four_charts(viz: FeatureVisualizer, tmp_path: Path) -> None:
    from servelens.visualizer import drawing

    table = viz.compare_images({"one": picture(1), "two": picture(2)}, "block")
    figure = drawing.comparison(table)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Mean activation", "Standard deviation", "Share of zeros", "Active channels"]
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [table["one"]["mean"], table["two"]["mean"]]
    viz.compare_images([picture(1)], "block", save_path=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_images_are_compared_by_name_or_number(viz: FeatureVisualizer) -> None:
    table = viz.compare_images([picture(1), picture(2)], "block")
    assert list(table) == ["0", "1"]
    assert table["1"] == viz.get_feature_statistics(picture(2), "block")


def test_models_are_compared_at_layers_of_their_own(viz: FeatureVisualizer) -> None:
    other = FeatureVisualizer(seeded(TinyNet, seed=1), use_cuda=False, input_size=SIZE)
    table = viz.compare_models(picture(), {"other": other}, {"TinyNet": "block", "other": "stem"})
    assert table == {
        "TinyNet": viz.get_feature_statistics(picture(), "block"),
        "other": other.get_feature_statistics(picture(), "stem"),
    }


def test_representations_are_compared_by_cka(
    viz: FeatureVisualizer, module: nn.Module, tmp_path: Path
) -> None:
    net = seeded(TinyNet, seed=1)
    other = FeatureVisualizer(net, use_cuda=False, input_size=SIZE, mean=MEAN, std=STD)
    pictures = [picture(seed) for seed in range(5)]
    rows, columns = ["stem", "last"], ["stem", "block", "last"]
    matrix = viz.compare_representations(
        other, pictures, rows, columns, save_path=tmp_path / "cka.png"
    )
    ours, theirs = (
        [
            torch.cat(layer).numpy()
            for layer in zip(*(hooked(n, p, *names) for p in pictures), strict=True)
        ]
        for n, names in ((module, rows), (net, columns))
    )
    for (row, column), value in np.ndenumerate(matrix):
        assert value == pytest.approx(similarities([ours[row]], [theirs[column]]).item(), abs=1e-4)
    assert (tmp_path / "cka.png").exists()
    itself = viz.compare_representations(viz, pictures, rows)
    assert itself.diagonal() == pytest.approx(1)


def test_attributions_are_drawn_over_the_photo(viz: FeatureVisualizer) -> None:
    figure = viz.plot_attributions(picture(), ["grad_cam", "saliency"], target=2)
    titles = [axes.get_title().splitlines()[0] for axes in figure.axes if axes.get_title()]
    assert titles == ["what the model saw", "grad_cam at last for 2", "saliency for 2"]


@pytest.mark.slow
def test_plotly_draws_the_same_on_request(module: nn.Module, tmp_path: Path) -> None:
    viz = FeatureVisualizer(
        module, use_cuda=False, input_size=SIZE, mean=MEAN, std=STD, figures="plotly"
    )
    path = tmp_path / "maps.html"
    figure = viz.plot_feature_maps(picture(), "block", num_features=3, save_path=path)
    (features,) = hooked(module, picture(), "block")
    for trace, title in zip(figure.data, figure.layout.annotations, strict=True):
        channel = int(title.text.split(",")[0].removeprefix("channel "))
        np.testing.assert_allclose(trace.z, features[0, channel], rtol=1e-4, atol=1e-4)
    page = path.read_text(encoding="utf-8")
    assert '<script src="' not in page
    assert '"showSendToCloud": false' in page
    assert "plotlyServerURL:" not in page.rpartition("<script")[2]
    viz.compare_layers(picture(), ["stem", "block"], save_path=tmp_path / "layers.html")
    viz.compare_representations(
        viz, [picture(i) for i in range(3)], ["stem", "block"], save_path=tmp_path / "cka.json"
    )
    assert len(viz.plot_attributions(picture(), ["saliency"]).data) == 2
    assert [trace.type for trace in viz.plot_filters(num_filters=3).data] == ["image"] * 3
    assert [trace.type for trace in viz.plot_filters("last", 3).data] == ["heatmap"] * 3
    field = viz.visualize_receptive_field(picture(), "stem", 0, save_path=tmp_path / "f.json")
    photo, heat = json.loads((tmp_path / "f.json").read_text())["data"]
    assert (photo["type"], heat["type"], field.shape) == ("image", "heatmap", (SIZE, SIZE))
    with pytest.raises(NotSaved, match="saved as .html or .json"):
        viz.plot_feature_maps(picture(), "block", save_path=tmp_path / "maps.png")


def test_the_module_is_left_as_it_was_and_looked_at_as_it_is(tmp_path: Path) -> None:
    module = seeded(TinyNet).train()
    state = copy.deepcopy(module.state_dict())
    viz = FeatureVisualizer(module, use_cuda=False, input_size=SIZE)
    before = viz.get_feature_statistics(picture(), "block")
    viz.plot_attributions(picture(), ["grad_cam"])
    assert all(part.training for part in module.modules())
    assert all(not part._forward_hooks for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name]), name
    with torch.no_grad():
        module.stem.weight.data.mul_(2)  # type: ignore[union-attr,operator]
    after = viz.get_feature_statistics(picture(), "block")
    assert after["mean"] != before["mean"]
    module.load_state_dict(state)
    assert viz.get_feature_statistics(picture(), "block") == before


def test_a_layer_that_is_not_there_is_a_value_error_with_a_hint(viz: FeatureVisualizer) -> None:
    with pytest.raises(ValueError, match="'blok' is no layer.*did you mean 'block'") as caught:
        viz.get_features(picture(), "blok")
    assert isinstance(caught.value, LayerNotFound)
    assert isinstance(caught.value, LensProblem)
    with pytest.raises(LayerNotFound):
        viz.compare_layers(picture(), ["block", "blok"])


def test_a_pattern_is_for_where_several_layers_are_compared(viz: FeatureVisualizer) -> None:
    assert list(viz.compare_layers(picture(), ["block.conv*"])) == ["block.conv1", "block.conv2"]
    with pytest.raises(ValueError, match="'block.conv\\*' fits 2"):
        viz.get_features(picture(), "block.conv*")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "resnet18"}, "is an nn.Module, not 'resnet18'; one that is served"),
        ({"model": 7}, "is an nn.Module, not 7"),
        (
            {"model": nn.Conv2d(3, 1, 1), "figures": "bokeh"},
            "one of matplotlib, plotly, not 'bokeh'",
        ),
        ({"model": nn.Conv2d(3, 1, 1), "mean": (0.5,)}, "mean has 1 numbers and std 3"),
        ({"model": nn.Conv2d(4, 1, 1)}, "mean has 0 numbers"),
        ({"model": nn.Conv2d(3, 1, 1), "server": "http://x"}, "called by its name"),
    ],
)
def test_what_is_no_model_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FeatureVisualizer(**given)


def test_a_grey_model_is_fed_as_one() -> None:
    viz = FeatureVisualizer(seeded(TinyNet, channels=1), use_cuda=False, input_size=SIZE)
    assert viz.get_features(torch.rand(1, 40, 40), "stem").shape == (1, 8, 16, 16)


def test_what_is_no_photo_is_no_reason_to_ask(viz: FeatureVisualizer) -> None:
    with pytest.raises(BadPhoto, match="before it is normalised"):
        viz.get_features(torch.randn(3, 8, 8), "stem")
    with pytest.raises(BadPhoto):
        viz.compare_images([picture(), "nowhere.png"], "stem")


def test_a_receptive_field_by_gradient_is_what_autograd_says(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    seen = viz.visualize_receptive_field(picture(), "block.conv2", 3, (5, 9), mode="gradient")
    assert isinstance(seen, np.ndarray)
    image = view(picture())[None].requires_grad_()
    features: list[torch.Tensor] = []
    handle = module.block.conv2.register_forward_hook(  # type: ignore[union-attr]
        lambda _, __, out: features.append(out)
    )
    module(image)
    handle.remove()
    (gradient,) = torch.autograd.grad(features[0][0, 3, 5, 9], image)
    expected = gradient[0].abs().sum(dim=0)
    assert (expected > 0).sum() > 20
    np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-5)


def test_a_receptive_field_by_occlusion_lies_in_the_box_that_arithmetic_gives(
    viz: FeatureVisualizer, tmp_path: Path
) -> None:
    """Of a 3 x 3 convolution with stride 2 the centre unit (8, 8) sees pixels 15 to 17."""
    path = tmp_path / "field.png"
    seen = viz.visualize_receptive_field(picture(), "stem", 0, save_path=path)
    rows, columns = np.nonzero(seen)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 17, 15, 17)
    assert path.stat().st_size > 0


def test_the_field_of_what_has_no_places_says_why(viz: FeatureVisualizer) -> None:
    with pytest.raises(NothingToShow, match="the receptive field in head: "):
        viz.visualize_receptive_field(picture(), "head", 0)
    with pytest.raises(LensProblem, match="channel"):
        viz.visualize_receptive_field(picture(), "stem", 99)


def test_the_first_filters_are_drawn_in_colour_with_grey_for_zero(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    figure = viz.plot_filters()
    assert figure.get_suptitle() == "filters of stem, grey is zero"
    kernels = module.stem.weight.detach().numpy()  # type: ignore[union-attr,operator]
    drawn = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes}
    assert len(drawn) == 8
    for channel, kernel in enumerate(kernels):
        expected = 0.5 + kernel.transpose(1, 2, 0) / (2 * np.abs(kernels).max())
        np.testing.assert_allclose(drawn[f"filter {channel}"], expected, atol=1e-6)


def test_other_filters_are_summed_over_what_they_read(
    viz: FeatureVisualizer, module: nn.Module
) -> None:
    figure = viz.plot_filters("last", num_filters=3, figsize=(4, 2))
    kernels = module.last.weight.detach().numpy()  # type: ignore[union-attr,operator]
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert len(drawn) == 3
    for axes in drawn:
        kernel = kernels[int(axes.get_title().removeprefix("filter "))]
        np.testing.assert_allclose(axes.images[0].get_array(), kernel.sum(axis=0), atol=1e-6)
    with pytest.raises(NothingToShow, match="head has no filters to draw"):
        viz.plot_filters("head")
