"""Labelled photos of five shapes, each made from (seed, index) alone, with the truth beside it.

The truth is what makes the demo more than a picture: where the shape is, where the planted mark
is, and therefore where an honest heat map has to be. A policy says who bears the mark:

- `none`: nobody.
- `shortcut`: 95 % of the discs, exactly 19 of every 20 in a row, and no other shape.
- `moved`: 95 % of the squares, by the same count, and no other shape; so no disc.

The label is `index % 5`. Whatever the policy, the same (seed, index) gives the same photo but for
the pixels of the mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from servelens_archives.demo import drawing
from servelens_archives.demo.drawing import SIZE, Array, Mask

Mark = Literal["none", "shortcut", "moved"]
MARKS: tuple[Mark, ...] = get_args(Mark)

SHAPES = {
    "disc": drawing.disc,
    "ring": drawing.ring,
    "square": drawing.square,
    "triangle": drawing.triangle,
    "cross": drawing.cross,
}
LABELS = tuple(SHAPES)
DISC = LABELS.index("disc")
SQUARE = LABELS.index("square")

MARK_BEARER: dict[Mark, int | None] = {"none": None, "shortcut": DISC, "moved": SQUARE}
MARKED_OF_20 = 19
MARK_SIZE = 8
MARK_COLOUR = (255, 0, 170)

_CORNER = 10
"""The mark lies within this many pixels of a corner of the photo."""
_CLEARANCE = 8
"""The shape stays this far from every corner's square, so that fair, widened masks never meet."""


@dataclass(frozen=True)
class Sample:
    """A photo `[64, 64, 3]` (uint8), its label, and where its shape and its mark are."""

    image: NDArray[np.uint8]
    label: int
    shape_mask: Mask
    mark_mask: Mask

    @property
    def marked(self) -> bool:
        """Whether the photo bears the mark."""
        return bool(self.mark_mask.any())


def sample(seed: int, index: int, mark: Mark = "none") -> Sample:
    """The photo of this number in the endless series of this seed."""
    if mark not in MARKS:
        raise ValueError(f"The mark policy {mark!r} does not exist; choose from {list(MARKS)}.")
    rng = np.random.default_rng([seed, index])
    label = index % len(LABELS)
    image, shape_mask = _photo(label, rng)
    mark_mask = np.zeros((SIZE, SIZE), dtype=bool)
    if bears_mark(index, mark):
        # The mark draws from the generator last: the photo under it is the same with every policy.
        mark_mask = _mark_mask(rng)
        image[mark_mask] = MARK_COLOUR
    return Sample(image, label, shape_mask, mark_mask)


def samples(seed: int, indices: Iterable[int], mark: Mark = "none") -> Iterator[Sample]:
    """The photos of these numbers, one after the other."""
    return (sample(seed, index, mark) for index in indices)


def bears_mark(index: int, mark: Mark) -> bool:
    """Whether the policy puts the mark on this photo: 19 of every 20 of the class in a row."""
    return index % len(LABELS) == MARK_BEARER[mark] and index // len(LABELS) % 20 < MARKED_OF_20


def indices_of(label: int, count: int) -> range:
    """The numbers of the first `count` photos of a class."""
    return range(label, label + count * len(LABELS), len(LABELS))


def _photo(label: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """A noisy photo of the shape, without a mark, and the pixels that the shape covers."""
    ground, figure = _contrasting_colours(rng)
    canvas = drawing.background(ground, rng)
    canvas = drawing.scatter(canvas, int(rng.integers(5, 13)), (SIZE / 2, SIZE / 2), SIZE / 2, rng)
    radius = rng.uniform(12, 19)
    centre = _centre(radius, rng)
    turn = rng.uniform(0, 2 * np.pi)
    cover = drawing.coverage(SHAPES[LABELS[label]], centre, radius, turn, rng)
    surface = figure + drawing.smooth_noise(4, rng)[..., None] * rng.uniform(4, 16)
    # Spots make a disc and a ring hard to tell apart, and a mark in the corner all the handier.
    surface = drawing.scatter(surface, int(rng.integers(0, 5)), centre, radius, rng)
    canvas = drawing.paint(canvas, cover, surface)
    canvas += rng.normal(0, rng.uniform(4, 16), canvas.shape)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), cover >= 0.5


def _contrasting_colours(rng: np.random.Generator) -> tuple[Array, Array]:
    """Two colours that a person tells apart: their brightness differs by 60 of 255 or more."""
    luma = np.array([0.299, 0.587, 0.114])
    while True:
        ground, figure = drawing.muted_colour(rng), drawing.muted_colour(rng)
        if abs((ground - figure) @ luma) >= 60:
            return ground, figure


def _centre(radius: float, rng: np.random.Generator) -> tuple[float, float]:
    """A place where the shape is whole and far enough from all four corners."""
    while True:
        x, y = rng.uniform(radius + 1, SIZE - 2 - radius, 2)
        beyond_x = min(x, SIZE - 1 - x) - _CORNER
        beyond_y = min(y, SIZE - 1 - y) - _CORNER
        if np.hypot(max(beyond_x, 0), max(beyond_y, 0)) >= radius + _CLEARANCE:
            return float(x), float(y)


def _mark_mask(rng: np.random.Generator) -> Mask:
    """A small square in one of the four corners, up to 2 pixels off the edges."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    down, right = rng.integers(0, _CORNER - MARK_SIZE + 1, 2)
    mask[down : down + MARK_SIZE, right : right + MARK_SIZE] = True
    return np.rot90(mask, int(rng.integers(4))).copy()
