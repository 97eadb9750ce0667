"""Which input pixels each unit of a tensor sees, and where in the tensor height and width lie.

Both are needed to follow a receptive field through a network. A `Span` is the arithmetic of one
axis. A `Layout` says, for each dimension of a tensor, which factors its size is made of, so that a
field survives permutes and reshapes: ConvNeXt's [N, H, W, C], the [N*H*W, C] that a linear layer
makes of it, ShuffleNet's [N, groups, C, H, W].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Tuple

HEIGHT, WIDTH = 0, 1


class Span(NamedTuple):
    """Unit i of an axis sees the input pixels from `first + i * step` to `last + i * step`."""

    first: float
    last: float
    step: float

    def through(self, first: float, last: float, ratio: float) -> Span:
        """The span of a layer whose unit i sees units i * ratio + first ... + last of this one."""
        return Span(self.first + self.step * first, self.last + self.step * last, self.step * ratio)

    def joined(self, other: Span, units: int) -> Span:
        """The smallest span with this step that holds both spans for every one of the units."""
        drift = (other.step - self.step) * (units - 1)
        first = min(self.first, other.first, other.first + drift)
        last = max(self.last, other.last, other.last + drift)
        return Span(first, last, self.step)


class Factor(NamedTuple):
    """A part of a dimension's size; its axis is HEIGHT, WIDTH or None for batch and channels."""

    size: int
    axis: Optional[int]


Dimension = Tuple[Factor, ...]
Layout = Tuple[Dimension, ...]


def plain(shape: Iterable[int]) -> Layout:
    """A layout without height and width."""
    return tuple((Factor(size, None),) for size in shape)


def size_of(dimension: Dimension) -> int:
    return math.prod(factor.size for factor in dimension)


def axes_of(dimensions: Iterable[Dimension]) -> FrozenSet[int]:
    """The axes that lie in these dimensions."""
    return frozenset(
        factor.axis for dimension in dimensions for factor in dimension if factor.axis is not None
    )


def regrouped(layout: Layout, shape: Sequence[int]) -> Optional[Layout]:
    """The layout after a reshape; None where it would cut height or width into pieces."""
    queue = [f for dimension in layout for f in dimension if f.size > 1 or f.axis is not None]
    result: List[Dimension] = []
    for size in shape:
        taken: List[Factor] = []
        while queue and (size > 1 or (queue[0].size == 1 and not taken)):
            factor = queue.pop(0)
            if size % factor.size == 0:
                taken.append(factor)
                size //= factor.size
            elif factor.axis is None and factor.size % size == 0:
                taken.append(Factor(size, None))
                queue.insert(0, Factor(factor.size // size, None))
                size = 1
            else:
                return None
        result.append(tuple(taken) or (Factor(1, None),))
    return tuple(result)


@dataclass(frozen=True)
class Field:
    """What the units of a tensor see of the input image, and where the axes lie in the tensor.

    `whole`: every unit sees all of the image, whatever the spans say; they then tell where a unit
    lies (a gated feature map keeps its places) or, where the axes are gone, nothing.
    """

    spans: Tuple[Span, Span]
    whole: bool
    layout: Layout
    image: Tuple[int, int]

    @classmethod
    def of_image(cls, shape: Sequence[int]) -> Field:
        """The field of an input [N, C, H, W]: each pixel sees itself."""
        height, width = shape[2], shape[3]
        layout = (*plain(shape[:2]), (Factor(height, HEIGHT),), (Factor(width, WIDTH),))
        return cls((Span(0, 0, 1), Span(0, 0, 1)), False, layout, (height, width))

    @property
    def axes(self) -> FrozenSet[int]:
        return axes_of(self.layout)

    @property
    def places(self) -> int:
        """How many units lie beside and below each other."""
        return math.prod(max(1, _units(self.layout, axis)) for axis in (HEIGHT, WIDTH))

    @property
    def everywhere(self) -> Tuple[Span, Span]:
        """The spans of what sees the full height and width."""
        height, width = self.image
        return Span(0, height - 1, height), Span(0, width - 1, width)

    def dimension(self, axis: int) -> Optional[int]:
        """The dimension that is this axis and nothing else."""
        for index, dimension in enumerate(self.layout):
            if [factor.axis for factor in dimension] == [axis]:
                return index
        return None

    def without_grid(self, shape: Sequence[int]) -> Field:
        """The field of values that come from everywhere and lie nowhere."""
        return replace(self, spans=self.everywhere, whole=True, layout=plain(shape))

    def laid_out(self, layout: Layout) -> Field:
        """The same units in another order or shape. An axis that is gone was seen in full."""
        return replace(self._seen_in_full(self.axes - axes_of(layout)), layout=layout)

    def resized(self, shape: Sequence[int]) -> Optional[Field]:
        """The same dimensions with other sizes; None where height or width is part of one that
        changed."""
        if len(shape) != len(self.layout):
            return None
        layout: List[Dimension] = []
        for dimension, size in zip(self.layout, shape):
            if size_of(dimension) != size:
                axes = axes_of([dimension])
                if axes and len(dimension) > 1:
                    return None
                dimension = (Factor(size, min(axes, default=None)),)
            layout.append(dimension)
        return replace(self, layout=tuple(layout))

    def reduced(self, dimensions: Iterable[int], keep: bool) -> Field:
        """After a mean, maximum or the like over these dimensions."""
        over = {index % len(self.layout) for index in dimensions}
        layout: List[Dimension] = []
        for index, dimension in enumerate(self.layout):
            if index not in over:
                layout.append(dimension)
            elif keep:
                layout.append((Factor(1, min(axes_of([dimension]), default=None)),))
        seen = axes_of(self.layout[index] for index in over)
        return replace(self._seen_in_full(seen), layout=tuple(layout))

    def mixed_along(self, dimensions: Iterable[int]) -> Field:
        """After a softmax, a normalisation or the like along these dimensions: same places."""
        seen = axes_of(self.layout[index] for index in dimensions)
        return replace(self, whole=self.whole or bool(seen))

    def _seen_in_full(self, axes: FrozenSet[int]) -> Field:
        vertical, horizontal = (
            everywhere if axis in axes else span
            for axis, (span, everywhere) in enumerate(zip(self.spans, self.everywhere))
        )
        return replace(self, spans=(vertical, horizontal), whole=self.whole or bool(axes))


def merged(fields: Sequence[Field], shape: Sequence[int]) -> Optional[Field]:
    """The field of an elementwise operation: at each place the envelope of its operands.

    An operand that is broadcast along an axis is seen by every unit. None where the operands have
    height and width in different places.
    """
    layout = _common_layout([field.layout for field in fields], shape)
    if layout is None:
        return None
    spans: List[Span] = []
    whole = any(field.whole for field in fields)
    for axis, everywhere in enumerate(fields[0].everywhere):
        units = _units(layout, axis)
        placed = [f.spans[axis] for f in fields if units and _units(f.layout, axis) == units]
        present = units or any(axis in field.axes for field in fields)
        whole = whole or (bool(present) and len(placed) < len(fields))
        span = placed[0] if placed else everywhere
        for other in placed[1:]:
            span = span.joined(other, units)
        spans.append(span)
    return Field((spans[0], spans[1]), whole, layout, fields[0].image)


def _units(layout: Layout, axis: int) -> int:
    """How many there are along an axis; 0 where the layout has no such axis."""
    return sum(factor.size for dimension in layout for factor in dimension if factor.axis == axis)


def _common_layout(layouts: Sequence[Layout], shape: Sequence[int]) -> Optional[Layout]:
    """Aligned from the right, as broadcasting does it."""
    result: List[Dimension] = []
    for place, size in zip(range(-len(shape), 0), shape):
        candidates = {
            layout[place]
            for layout in layouts
            if -place <= len(layout) and size_of(layout[place]) == size
        }
        labelled = [dimension for dimension in candidates if axes_of([dimension])]
        if len(labelled) > 1:
            return None
        result.append(labelled[0] if labelled else (Factor(size, None),))
    return tuple(result)
