"""Where in the image a unit can look, and the windows that are covered there one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import torch

from servelens.protocol import InputRef, TheoreticalField

# Steps along the longer side of a field: 64 windows at most, whatever its size.
STEPS = 7


@dataclass(frozen=True)
class Region:
    """Rows from `top` to before `bottom`, columns from `left` to before `right` of the input."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def sides(self) -> Tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def places(self) -> Tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def in_photo(self, ref: InputRef) -> Tuple[int, int, int, int]:
        """[left, top, right, bottom] in the photo as shown, out to whole pixels."""
        left, top, right, bottom = ref.crop
        per_y, per_x = (bottom - top) / ref.size[0], (right - left) / ref.size[1]
        return (
            left + math.floor(self.left * per_x),
            top + math.floor(self.top * per_y),
            left + math.ceil(self.right * per_x),
            top + math.ceil(self.bottom * per_y),
        )


def seen_by(
    field: Optional[TheoreticalField], position: Tuple[int, int], size: Tuple[int, int]
) -> Region:
    """What the unit can see of an image of this size: all of it, where the field is not known."""
    if field is None or field.whole:
        return Region(0, 0, *size)
    (top, bottom), (left, right) = (
        _seen_along(field, axis, position[axis], size[axis]) for axis in (0, 1)
    )
    return Region(top, left, bottom, right)


def _seen_along(field: TheoreticalField, axis: int, place: int, side: int) -> Tuple[int, int]:
    """From the first pixel to behind the last one; between pixels, behind upsampling, lies none."""
    centre, reach = field.offset[axis] + place * field.stride[axis], (field.size[axis] - 1) / 2
    first = math.ceil(round(centre - reach, 6))
    last = math.floor(round(centre + reach, 6))
    first = min(max(first, 0), side)
    return first, max(first, min(last + 1, side))


def window_and_stride(
    region: Region, window: Optional[int], stride: Optional[int]
) -> Tuple[int, int]:
    """As asked, or so that few windows overlap by half."""
    if stride is None:
        stride = max(1, window // 2) if window else max(1, math.ceil(max(region.sides) / STEPS))
    return window or 2 * stride, stride


def windows_over(region: Region, window: int, stride: int, size: Tuple[int, int]) -> List[Region]:
    """All that meet the region, so laid out that each of its pixels lies in as many; clipped to
    the image."""
    if 0 in region.sides:
        return []
    starts = [
        range(first - (window - stride), last, stride)
        for first, last in ((region.top, region.bottom), (region.left, region.right))
    ]
    return [
        Region(max(t, 0), max(s, 0), min(t + window, size[0]), min(s + window, size[1]))
        for t in starts[0]
        for s in starts[1]
    ]


def covered(image: torch.Tensor, windows: Sequence[Region]) -> torch.Tensor:
    """[n, C, H, W]: the image [C, H, W] with each window at zero, the training images' mean."""
    images = image.repeat(len(windows), 1, 1, 1)
    for one, window in zip(images, windows):
        one[(slice(None), *window.places)] = 0
    return images


class Averages:
    """For each pixel of a region the mean over the windows that cover it; zero outside, where the
    unit sees nothing."""

    def __init__(self, region: Region, size: Tuple[int, int]) -> None:
        self._region = region
        self._sums = torch.zeros(size, dtype=torch.float64)
        self._counts = torch.zeros(size, dtype=torch.float64)

    def add(self, windows: Sequence[Region], effects: Sequence[float]) -> None:
        for window, effect in zip(windows, effects):
            self._sums[window.places] += effect
            self._counts[window.places] += 1

    def map(self) -> torch.Tensor:
        found = torch.zeros_like(self._sums)
        places = self._region.places
        found[places] = self._sums[places] / self._counts[places].clamp(min=1)
        return found
