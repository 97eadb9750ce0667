"""The Python API: what a layer of a model has seen in a photo, as numbers and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from servelens.client import Activation, NothingToShow, Result, Server, in_order
from servelens.client.keys import Keys
from servelens.visualizer import drawing, plotly_drawing
from servelens.visualizer.further import first_convolution, measured
from servelens.visualizer.photos import Picture, photo_of, photos_of
from servelens.visualizer.similarity import Numbers, similarities
from servelens.visualizer.sources import Source, in_process, served

if TYPE_CHECKING:
    import torch
    from torch import nn

Found = TypeVar("Found")
Stats = dict[str, Any]
SavePath = str | Path | None
FIGURES: Mapping[str, ModuleType] = {"matplotlib": drawing, "plotly": plotly_drawing}


class FeatureVisualizer:
    """Looks into a model: a module of this process, or one that a server has.

    Example::

        viz = FeatureVisualizer(model)
        viz = FeatureVisualizer(model="resnet18", server="http://127.0.0.1:8080")
        viz.plot_feature_maps("dog.jpg", "layer3", save_path="features.png")

    Both give the same numbers. A module is never changed; it is looked at as it is at each call, in
    eval mode. How photos become its input is said by `input_size`, `resize` and `crop` (the shorter
    side is scaled, the centre cut out; or, without crop, all of it is squeezed in), `mean` and
    `std` (ImageNet's unless said); a served model knows all this itself. Photos are paths, bytes,
    Pillow images, arrays or tensors, the last of numbers from 0 to 1.

    Figures are Matplotlib's, or plotly's with `figures="plotly"`; they are returned and never
    shown. `save_path` also writes them.
    """

    def __init__(
        self,
        model: nn.Module | str,
        use_cuda: bool = True,
        *,
        server: str | Server | None = None,
        version: str | None = None,
        keys: Keys | None = None,
        input_size: int | tuple[int, int] = 224,
        resize: int | None = None,
        crop: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        labels: Sequence[str] | None = None,
        figures: str = "matplotlib",
    ) -> None:
        if figures not in FIGURES:
            raise ValueError(f"figures must be one of {', '.join(FIGURES)}, not {figures!r}")
        self._draw = FIGURES[figures]
        if server is None:
            self._source: Source = in_process(
                model,
                use_cuda,
                size=input_size,
                resize=resize,
                crop=crop,
                mean=mean,
                std=std,
                labels=labels,
            )
        else:
            self._source = served(model, server, version, keys)

    @property
    def name(self) -> str:
        """What the model is called: by its server, or by its class."""
        return self._source.name

    def plot_feature_maps(
        self,
        image: Picture,
        layer_name: str,
        num_features: int = 16,
        sort_by: str = "activation",
        save_path: SavePath = None,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """A figure of the channels with the highest mean ("activation") or "variance", of the most
        relevant for the prediction ("relevance"), or of "random" ones."""
        entry = self._layer(image, layer_name, channels=num_features, sort_by=sort_by)
        return self._saved(self._draw.feature_maps(entry, figsize), save_path)

    def get_features(self, image: Picture, layer_name: str) -> torch.Tensor:
        """What the layer gave: [B, C, H, W], a row for each photo of a batch."""
        import torch

        features = self._features(photos_of(image), [layer_name])
        return torch.from_numpy(_only(features, layer_name))

    def get_feature_statistics(self, image: Picture, layer_name: str) -> Stats:
        """mean, std, sparsity, max, min, active_channels, num_channels, spatial_size and
        dead_channels. Sparsity is the share of exact zeros; active channels have a mean above 0.01,
        dead ones are zero everywhere."""
        entry = self._layer(image, layer_name, statistics=True, channels=1, maps=False)
        return _stats(entry)

    def compare_layers(
        self, image: Picture, layer_names: Sequence[str], save_path: SavePath = None
    ) -> dict[str, Stats]:
        """The statistics of several layers, from one pass."""
        result = self._source.ask(photo_of(image), activations=_statistics_of(layer_names))
        return self._compared(
            {entry.layer: _stats(entry) for entry in result.activations}, save_path
        )

    def get_top_activating_features(
        self, image: Picture, layer_name: str, top_k: int = 10
    ) -> list[tuple[int, float]]:
        """The channels with the highest mean: (channel, mean) pairs."""
        entry = self._layer(image, layer_name, channels=top_k, maps=False)
        return [(channel.index, channel.mean) for channel in entry.channels]

    def get_most_common_features(
        self, images: Iterable[Picture], layer_name: str, top_k: int = 5, most_common: int = 10
    ) -> list[tuple[int, int]]:
        """The channels that are most often among an image's `top_k`: (channel, count) pairs."""
        wanted = {"layers": [layer_name], "channels": top_k, "maps": False, "statistics": False}
        tops = (result.activations[0].channels for result in self._each(images, wanted))
        return Counter(channel.index for top in tops for channel in top).most_common(most_common)

    def visualize_receptive_field(
        self,
        image: Picture,
        layer_name: str,
        channel: int,
        position: tuple[int, int] | None = None,
        save_path: SavePath = None,
        mode: str = "occlusion",
    ) -> Numbers:
        """How much each pixel of the model's input moves one unit, at `position` (its layer's
        centre unless said): by covering window after window, or by its "gradient"."""
        place = None if position is None else list(position)
        asked = {"layer": layer_name, "channel": channel, "position": place, "mode": mode}
        result = self._source.ask(photo_of(image), receptive_field=asked)
        seen = measured(result)
        if save_path is not None:
            self._saved(self._draw.sensitivity(result), save_path)
        return seen

    def plot_filters(
        self,
        layer_name: str | None = None,
        num_filters: int = 64,
        save_path: SavePath = None,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """A figure of a convolution's kernels, the first one's unless said: in colour where they
        read colours, else summed over the channels that they read."""
        layer = first_convolution(self._source.capability()) if layer_name is None else layer_name
        result = self._source.ask(None, weights={"layers": [layer], "channels": num_filters})
        entry = _only(result.weights or (), layer)
        return self._saved(self._draw.filters(entry, figsize), save_path)

    def plot_attributions(
        self,
        image: Picture,
        methods: Any = True,
        target: Any = "predicted",
        save_path: SavePath = None,
    ) -> Any:
        """A figure of where in the photo the evidence lies, by the methods named."""
        result = self._source.ask(photo_of(image), explain=methods, target=target)
        return self._saved(self._draw.attributions(result), save_path)

    def compare_images(
        self,
        images: Mapping[str, Picture] | Sequence[Picture],
        layer_name: str,
        save_path: SavePath = None,
    ) -> dict[str, Stats]:
        """The statistics of one layer on several photos, by their names or numbers."""
        named = images if isinstance(images, Mapping) else {str(i): p for i, p in enumerate(images)}
        wanted = _statistics_of([layer_name])
        results = self._each(named.values(), wanted)
        table = {
            name: _stats(result.activations[0]) for name, result in zip(named, results, strict=True)
        }
        return self._compared(table, save_path)

    def compare_models(
        self,
        image: Picture,
        others: Mapping[str, FeatureVisualizer],
        layer_name: str | Mapping[str, str],
        save_path: SavePath = None,
    ) -> dict[str, Stats]:
        """The statistics of this model and others on one photo. Where their layers have other
        names, `layer_name` maps each model's name to its layer's."""
        table = {}
        for name, viz in {self.name: self, **others}.items():
            layer = layer_name if isinstance(layer_name, str) else layer_name[name]
            table[name] = viz.get_feature_statistics(image, layer)
        return self._compared(table, save_path)

    def compare_representations(
        self,
        other: FeatureVisualizer,
        images: Sequence[Picture],
        layer_names: Sequence[str],
        other_layer_names: Sequence[str] | None = None,
        save_path: SavePath = None,
    ) -> Numbers:
        """The linear CKA of this model's layers (rows) with another's (columns) on these photos."""
        photos = [photo_of(image) for image in images]
        columns = layer_names if other_layer_names is None else other_layer_names
        theirs = other._features(photos, columns)
        matrix = similarities(self._features(photos, layer_names), theirs)
        if save_path is not None:
            self._saved(self._draw.similarity(matrix, layer_names, columns), save_path)
        return matrix

    def _layer(self, image: Picture, layer: str, **wanted: Any) -> Activation:
        asked = {"layers": [layer], "statistics": False, **wanted}
        found = self._source.ask(photo_of(image), activations=asked).activations
        return _only(found, layer)

    def _features(self, photos: Sequence[bytes], layers: Sequence[str]) -> list[Numbers]:
        """For each layer [photos, C, ...], its channels in their own order."""
        wanted = {"layers": list(layers), "channels": "all", "statistics": False}
        rows = [
            [_in_order(entry) for entry in result.activations]
            for result in self._each(photos, wanted)
        ]
        return [np.stack(layer) for layer in zip(*rows, strict=True)]

    def _each(self, images: Iterable[Picture], activations: Mapping[str, Any]) -> Iterable[Result]:
        def ask(image: Picture) -> Result:
            return self._source.ask(photo_of(image), activations=dict(activations))

        for answer in in_order(ask, images, at_once=self._source.at_once):
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def _compared(self, table: dict[str, Stats], save_path: SavePath) -> dict[str, Stats]:
        if save_path is not None:
            self._saved(self._draw.comparison(table), save_path)
        return table

    def _saved(self, figure: Any, save_path: SavePath) -> Any:
        if save_path is not None:
            self._draw.save(figure, save_path)
        return figure


def _only(found: Sequence[Found], layer: str) -> Found:
    """Of a pattern that fits several layers nobody could say which is meant."""
    if len(found) != 1:
        raise ValueError(f"one layer is asked about here, and {layer!r} fits {len(found)}")
    return found[0]


def _statistics_of(layers: Sequence[str]) -> dict[str, Any]:
    return {"layers": list(layers), "channels": 1, "maps": False}


def _stats(entry: Activation) -> Stats:
    if entry.statistics is None:
        raise NothingToShow(f"{entry.title}: {entry.why_nothing}")
    return dict(vars(entry.statistics))


def _in_order(entry: Activation) -> Numbers:
    """The maps by channel; they come with the strongest first."""
    maps = np.empty_like(entry.to_numpy())
    maps[[channel.index for channel in entry.channels]] = entry.to_numpy()
    return maps
