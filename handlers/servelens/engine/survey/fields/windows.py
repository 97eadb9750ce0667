"""Rules for operations whose units see a window of the input: convolution, pooling, resampling.

Each tells, for some dimensions, that unit i sees the units i * ratio + first ... + last of the
input. Borders are not clipped: it is the window of a unit far from every border.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import torch

from servelens.engine.survey.fields.call import Call
from servelens.engine.survey.fields.field import Field, axes_of

Window = Tuple[float, float, float]
Rule = Callable[[Call, Field, torch.Tensor], Optional[Field]]


def convolution(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    kernel = call["weight"].shape[2:]
    strides, paddings, dilations = (
        _repeated(call[name], len(kernel)) for name in ("stride", "padding", "dilation")
    )
    rank = output.dim()
    if axes_of([field.layout[rank - len(kernel) - 1]]):
        return None  # height or width taken for channels
    windows: Dict[int, Window] = {}
    places = range(rank - len(kernel), rank)
    for dim, size, stride, padding, dilation in zip(places, kernel, strides, paddings, dilations):
        reach = dilation * (size - 1)
        if call["transposed"]:
            windows[dim] = ((padding - reach) / stride, padding / stride, 1 / stride)
        else:
            windows[dim] = (-padding, reach - padding, stride)
    return _seen_through(field, output, windows)


def pool(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    rank, count = output.dim(), 3 if call.name.endswith("3d") else 2
    kernel = _repeated(call["kernel_size"], count)
    strides = _repeated(call.get("stride") or kernel, count)
    paddings = _repeated(call["padding"], count)
    dilations = _repeated(call.get("dilation", 1), count)
    windows: Dict[int, Window] = {}
    places = range(rank - count, rank)
    for dim, size, stride, padding, dilation in zip(places, kernel, strides, paddings, dilations):
        windows[dim] = (-padding, dilation * (size - 1) - padding, stride)
    return _seen_through(field, output, windows)


def adaptive_pool(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """Down to one unit it is global: it sees all there is, at whatever size."""
    rank, count = output.dim(), len(call["output_size"])
    pooled = range(rank - count, rank)
    everything = [dim for dim in pooled if output.shape[dim] == 1]
    windows: Dict[int, Window] = {}
    for dim in set(pooled) - set(everything):
        size, units = call.source.shape[dim], output.shape[dim]
        seen = ((i * size // units, -(-(i + 1) * size // units) - 1) for i in range(units))
        windows[dim] = _hull(size / units, seen)
    return _seen_through(field.reduced(everything, keep=True), output, windows)


def pad(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    before = (call.get("pad") or call["padding"])[::2]
    windows: Dict[int, Window] = {
        output.dim() - 1 - index: (-amount, -amount, 1) for index, amount in enumerate(before)
    }
    return _seen_through(field, output, windows)


def crop(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """A slice, with a step or without."""
    dim, start = call["dim"] % output.dim(), call.get("start", 0)
    if start < 0:
        start += call.source.shape[dim]
    window: Window = (start, start, call["step"])
    return _seen_through(field, output, {dim: window})


def resample_nearest(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """Also pixel shuffle, whose units come from one place each."""
    half = 1 if "exact" in call.name else 0
    windows: Dict[int, Window] = {}
    for dim in (output.dim() - 2, output.dim() - 1):
        size, units = call.source.shape[dim], output.shape[dim]
        nearest = ((2 * i + half) * size // (2 * units) for i in range(units))
        windows[dim] = _hull(size / units, ((unit, unit) for unit in nearest))
    return _seen_through(field, output, windows)


def resample_smoothly(reach: int) -> Rule:
    """Interpolation between `reach` units to either side: 1 is bilinear, 2 bicubic."""

    def rule(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
        windows: Dict[int, Window] = {}
        for dim in (output.dim() - 2, output.dim() - 1):
            size, units = call.source.shape[dim], output.shape[dim]
            aligned = bool(call.get("align_corners", False)) and units > 1
            ratio = (size - 1) / (units - 1) if aligned else size / units
            shift = 0.0 if aligned else (ratio - 1) / 2
            support = reach * max(ratio, 1.0)
            centres = (i * ratio + shift for i in range(units))
            seen = ((math.ceil(c - support), math.floor(c + support)) for c in centres)
            windows[dim] = _hull(ratio, seen)
        return _seen_through(field, output, windows)

    return rule


def pixel_unshuffle(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    factor = call["downscale_factor"]
    window: Window = (0, factor - 1, factor)
    return _seen_through(field, output, {output.dim() - 2: window, output.dim() - 1: window})


def _seen_through(
    field: Field, output: torch.Tensor, windows: Dict[int, Window]
) -> Optional[Field]:
    """None where a window slides over a dimension that is height and something else at once."""
    spans = list(field.spans)
    for dim, window in windows.items():
        axes = axes_of([field.layout[dim]])
        if not axes or window == (0, 0, 1):
            continue
        if len(field.layout[dim]) > 1:
            return None
        axis = min(axes)
        spans[axis] = spans[axis].through(*window)
    return replace(field, spans=(spans[0], spans[1])).resized(output.shape)


def _hull(ratio: float, seen: Iterable[Tuple[float, float]]) -> Window:
    """The window that holds what each unit sees, from its first to its last input unit."""
    shifted = [(first - i * ratio, last - i * ratio) for i, (first, last) in enumerate(seen)]
    return min(first for first, _ in shifted), max(last for _, last in shifted), ratio


def _repeated(values: Any, count: int) -> List[Any]:
    """ATen takes one value for all dimensions, as an integer or a list of one."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    return listed * count if len(listed) == 1 else listed
