"""The image with a window covered, for every place of the window."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch

from servelens.engine.kit import (
    Ends,
    Param,
    Samples,
    Series,
    Shape,
    Source,
    baseline_of,
    baseline_param,
)
from servelens.protocol.shapes import Integer

# Window and stride in pixels of the model's input; 0 stands for a share of its shorter side, as
# fits a photo of any size: an eighth for the window, half a window for the stride.
OF_SIDE = 8


class WindowSamples(Samples):
    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._input = source.input
        self._cover = baseline_of(params["baseline"], source)
        self._corners, self._window = windows(source.input.shape, params)

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        images = self._input.repeat(len(indices), 1, 1, 1)
        for image, index in zip(images, indices):
            rows, columns = self._place(index)
            image[:, rows, columns] = self._cover[:, rows, columns]
        return images

    def told(
        self, indices: Sequence[int], scores: torch.Tensor, ends: Ends
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Each window's pixels are worth what the score lost when it was covered."""
        values = torch.zeros(self._input.shape[1:], dtype=torch.float64)
        weight = torch.zeros_like(values)
        for index, score in zip(indices, scores.tolist()):
            rows, columns = self._place(index)
            values[rows, columns] += ends.whole - score
            weight[rows, columns] += 1
        return values, weight

    def _place(self, index: int) -> Tuple[slice, slice]:
        top, left = self._corners[index]
        return slice(top, top + self._window), slice(left, left + self._window)


class Windows(Series):
    params = (
        Param("window", Integer(0, 4096), 0, "side of the covered square in pixels; 0 an eighth"),
        Param("stride", Integer(0, 4096), 0, "pixels from one to the next; 0 half a window"),
        baseline_param("mean"),
    )

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return len(windows(image, params)[0])

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> WindowSamples:
        return WindowSamples(source, params)

    def thin(
        self, params: Mapping[str, Any], most: int, image: Shape, layer: Optional[Shape]
    ) -> Optional[Dict[str, Any]]:
        """Farther apart, as long as every pixel is covered once."""
        window, stride = sizes(image, params)
        for wider in range(stride, window + 1):
            thinner = {**params, "window": window, "stride": wider}
            if self.count(thinner, image, layer) <= most:
                return thinner
        return None


def sizes(image: Shape, params: Mapping[str, Any]) -> Tuple[int, int]:
    """Window and stride, with what 0 stands for."""
    shorter = min(image[1:])
    window = min(params["window"] or max(1, shorter // OF_SIDE), shorter)
    return window, min(params["stride"] or max(1, window // 2), window)


def windows(image: Shape, params: Mapping[str, Any]) -> Tuple[List[Tuple[int, int]], int]:
    """Upper left corners, row by row, and the side; the last of a row reaches over the border, so
    that no pixel is left out."""
    window, stride = sizes(image, params)
    steps = [range(max(1, -(-(side - window) // stride) + 1)) for side in image[1:]]
    return [(top * stride, left * stride) for top in steps[0] for left in steps[1]], window


WINDOWS = Windows()
