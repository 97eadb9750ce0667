"""Draws what a shapes photo is made of, so that `shapes` only has to decide what goes where.

A shape is a signed distance function: negative inside, zero on the outline, positive outside, in
pixels. One formula thus gives the anti-aliased picture and the exact mask of it. Backgrounds are
deliberately busy: a model that only had to find the one bright blob would learn nothing worth
explaining.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 64

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Distance = Callable[[Array, Array, float, np.random.Generator], Array]

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)


def disc(x: Array, y: Array, radius: float, rng: np.random.Generator) -> Array:
    """A filled circle."""
    return np.hypot(x, y) - radius


def ring(x: Array, y: Array, radius: float, rng: np.random.Generator) -> Array:
    """A circle with a hole of 25 to 40 % of its radius."""
    hole = radius * rng.uniform(0.25, 0.40)
    return np.abs(np.hypot(x, y) - (radius + hole) / 2) - (radius - hole) / 2


def square(x: Array, y: Array, radius: float, rng: np.random.Generator) -> Array:
    """A filled square whose corners lie on the radius."""
    return np.maximum(np.abs(x), np.abs(y)) - radius / np.sqrt(2)


def triangle(x: Array, y: Array, radius: float, rng: np.random.Generator) -> Array:
    """A filled equilateral triangle whose corners lie on the radius."""
    sides = [x * np.cos(a) + y * np.sin(a) for a in np.pi * np.array([1 / 6, 5 / 6, 3 / 2])]
    return np.maximum.reduce(sides) - radius / 2


def cross(x: Array, y: Array, radius: float, rng: np.random.Generator) -> Array:
    """Two bars at a right angle, 22 to 32 % as thick as they are long."""
    half_bar = radius * rng.uniform(0.22, 0.32)
    across = np.maximum(np.abs(x) - radius, np.abs(y) - half_bar)
    upright = np.maximum(np.abs(x) - half_bar, np.abs(y) - radius)
    return np.minimum(across, upright)


def coverage(
    distance: Distance,
    centre: tuple[float, float],
    radius: float,
    angle: float,
    rng: np.random.Generator,
) -> Array:
    """How much of each pixel the turned shape covers, from 0 to 1."""
    right, down = _COLUMNS - centre[0], _ROWS - centre[1]
    x = right * np.cos(angle) + down * np.sin(angle)
    y = down * np.cos(angle) - right * np.sin(angle)
    return np.clip(0.5 - distance(x, y, radius, rng), 0.0, 1.0)


def paint(canvas: Array, cover: Array, colour: Array) -> Array:
    """The canvas with a colour (one, or one for each pixel) laid over it as far as `cover` says."""
    alpha = cover[..., None]
    return canvas * (1 - alpha) + colour * alpha


def muted_colour(rng: np.random.Generator) -> Array:
    """Any hue and brightness, but nothing as loud as the mark."""
    colour = rng.uniform(10, 245, 3)
    return 0.6 * colour + 0.4 * colour.mean()


def smooth_noise(cells: int, rng: np.random.Generator) -> Array:
    """Soft blotches between -1 and 1: a coarse random grid, enlarged."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float64)


def wave(rng: np.random.Generator) -> Array:
    """A sine wave between -1 and 1 across the canvas, in a random direction and pitch."""
    angle, pitch, phase = rng.uniform(0, np.pi), rng.uniform(5, 14), rng.uniform(0, 2 * np.pi)
    along = _COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)
    return np.sin(along * 2 * np.pi / pitch + phase)


def slope(rng: np.random.Generator) -> Array:
    """A straight gradient between about -1 and 1 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    along = (_COLUMNS - SIZE / 2) * np.cos(angle) + (_ROWS - SIZE / 2) * np.sin(angle)
    return along / (SIZE / 2)


TEXTURES: tuple[Callable[[np.random.Generator], Array], ...] = (
    slope,
    wave,
    lambda rng: np.sign(wave(rng)),
    lambda rng: wave(rng) * wave(rng),
    lambda rng: smooth_noise(5, rng),
    lambda rng: smooth_noise(16, rng),
    lambda rng: rng.uniform(-1, 1, (SIZE, SIZE)),
)


def background(colour: Array, rng: np.random.Generator) -> Array:
    """A canvas of about this colour, with two textures and a shade of other hues in it."""
    canvas = np.broadcast_to(colour, (SIZE, SIZE, 3)).copy()
    for pick in rng.choice(len(TEXTURES), size=2, replace=False):
        tint = rng.uniform(0.5, 1.0, 3) * rng.uniform(8, 30)
        canvas += TEXTURES[pick](rng)[..., None] * tint
    return canvas


def scatter(
    canvas: Array, number: int, middle: tuple[float, float], reach: float, rng: np.random.Generator
) -> Array:
    """The canvas with so many small coloured dots, flecks and crosses around a place on it."""
    for _ in range(number):
        distance = (disc, square, cross)[rng.integers(3)]
        x, y = rng.uniform(-reach, reach, 2) + middle
        speck = coverage(distance, (x, y), rng.uniform(1.0, 3.6), rng.uniform(0, np.pi), rng)
        canvas = paint(canvas, speck * rng.uniform(0.5, 1.0), muted_colour(rng))
    return canvas
