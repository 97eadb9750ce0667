"""The Python API on a served model and on the same module in process, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lens_caller import Lens
from lens_fixtures import LABELS
from lens_pictures import scene
from tiny_net import TinyNet

from servelens.client import KeyFile
from servelens.engine.folder.card import WEIGHTS_FILE
from servelens.engine.folder.loading import load_weights, read_weights
from servelens.visualizer import FeatureVisualizer, LayerNotFound

LAYERS = ["stem", "block.conv1", "block.bn1", "block.relu", "block", "last"]


@pytest.fixture(scope="module")
def module(lens_store: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyNet:
    """With the weights that the archive has."""
    import zipfile

    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(lens_store / "tiny.mar") as archive:
        archive.extract(WEIGHTS_FILE, folder)
    net = TinyNet(len(LABELS))
    load_weights(net, read_weights(folder / WEIGHTS_FILE))
    return net


@pytest.fixture
def served(lens: Lens) -> FeatureVisualizer:
    keys = KeyFile(lens.server.key_file or "")
    return FeatureVisualizer(server=lens.server.url, model="tiny", keys=keys)


@pytest.fixture(scope="module")
def here(module: TinyNet) -> FeatureVisualizer:
    return FeatureVisualizer(module, use_cuda=False, labels=LABELS)


@pytest.mark.parametrize("layer", LAYERS)
def test_features_are_equal(served: FeatureVisualizer, here: FeatureVisualizer, layer: str) -> None:
    ours, theirs = (viz.get_features(scene(1), layer) for viz in (here, served))
    assert ours.shape == theirs.shape
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


def test_statistics_are_equal(served: FeatureVisualizer, here: FeatureVisualizer) -> None:
    ours, theirs = (viz.compare_layers(scene(1), LAYERS) for viz in (here, served))
    assert list(ours) == list(theirs) == LAYERS
    for layer in LAYERS:
        assert theirs[layer] == {
            name: pytest.approx(value, rel=1e-4, abs=1e-5) if isinstance(value, float) else value
            for name, value in ours[layer].items()
        }


def test_top_and_common_channels_are_equal(
    served: FeatureVisualizer, here: FeatureVisualizer
) -> None:
    ours, theirs = (viz.get_top_activating_features(scene(1), "last", 5) for viz in (here, served))
    assert [channel for channel, _ in theirs] == [channel for channel, _ in ours]
    assert [mean for _, mean in theirs] == pytest.approx([mean for _, mean in ours], rel=1e-4)
    pictures = [scene(seed) for seed in range(5)]
    assert served.get_most_common_features(pictures, "last") == here.get_most_common_features(
        pictures, "last"
    )


@pytest.mark.parametrize("mode", ["occlusion", "gradient"])
def test_receptive_fields_are_equal(
    served: FeatureVisualizer, here: FeatureVisualizer, mode: str
) -> None:
    ours, theirs = (
        viz.visualize_receptive_field(scene(1), "block", 2, mode=mode) for viz in (here, served)
    )
    assert ours.max() > 0
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4 * ours.max())


def test_filters_are_equal(served: FeatureVisualizer, here: FeatureVisualizer) -> None:
    ours, theirs = (viz.plot_filters() for viz in (here, served))
    assert ours.get_suptitle() == theirs.get_suptitle() == "filters of stem, grey is zero"
    for one, other in zip(ours.axes, theirs.axes, strict=True):
        np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())


def test_pictures_are_equal(served: FeatureVisualizer, here: FeatureVisualizer) -> None:
    for draw in (
        lambda viz: viz.plot_feature_maps(scene(1), "block", 4),
        lambda viz: viz.plot_attributions(scene(1), ["grad_cam", "saliency"], target="star"),
    ):
        ours, theirs = (draw(viz) for viz in (here, served))
        titles = [
            [axes.get_title().splitlines()[0] for axes in figure.axes if axes.get_title()]
            for figure in (ours, theirs)
        ]
        assert titles[0] == titles[1]
        for one, other in zip(ours.axes, theirs.axes, strict=True):
            for mine, served_one in zip(one.images, other.images, strict=True):
                a, b = (np.asarray(i.get_array(), float) for i in (mine, served_one))
                assert np.abs(a - b).max() <= max(1.0, 1e-4 * np.abs(a).max())


def test_the_same_model_here_and_there_represents_alike(
    served: FeatureVisualizer, here: FeatureVisualizer
) -> None:
    pictures = [scene(seed) for seed in range(4)]
    matrix = served.compare_representations(here, pictures, ["stem", "last"])
    assert matrix.diagonal() == pytest.approx(1, abs=1e-6)
    table = here.compare_models(scene(1), {"served": served}, "block")
    assert table["served"]["mean"] == pytest.approx(table["TinyNet"]["mean"], rel=1e-4)


def test_a_layer_that_is_not_there_is_missed_in_the_same_way(
    served: FeatureVisualizer, here: FeatureVisualizer
) -> None:
    said = []
    for viz in (served, here):
        with pytest.raises(LayerNotFound) as caught:
            viz.get_features(scene(1), "blok")
        said.append(str(caught.value))
    assert said[0] == said[1]
