"""The two images of an atlas: the channels' maps, and the frame around them with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from servelens.client.colours import Scale
from servelens.client.pictures import data_url, tiled
from servelens.palettes import LEVELS, graded
from servelens_dashboard.figures.grid import GAP, LETTERS, Grid
from servelens_dashboard.figures.look import Theme

# Of the frame's 256 inks, from paper to the letters; 0 lets the map through.
PAPER, LINE = 1, 140
# The frame reaches so far beyond the maps, whose edge would else shimmer through.
EDGE = 2

Bytes = NDArray[np.uint8]
Maps = NDArray[np.float64]


def sprite(maps: Maps, scales: Sequence[Scale], grid: Grid) -> Bytes:
    """All channels' places on their one scale, or each on its own, as one array; between them is 0,
    which the frame covers."""
    small = shrunk(maps, grid.shrink)
    if len(scales) == 1:
        levels = scales[0].levels(small)
    else:
        pairs = zip(scales, small, strict=True)
        levels = np.stack([scale.levels(values) for scale, values in pairs])
    down = nearest(levels.shape[1], grid.cell[1])
    right = nearest(levels.shape[2], grid.cell[0])
    large = levels[:, down[:, None], right]
    whole: Bytes = tiled(large, grid.columns, (grid.gap, grid.gap + grid.strip), 0)
    return whole


def nearest(numbers: int, pixels: int) -> NDArray[np.intp]:
    """Which of so many numbers each of so many pixels shows."""
    return np.arange(pixels) * numbers // pixels


def shrunk(maps: Maps, by: int) -> Maps:
    """The means of blocks of `by` by `by` numbers; those at the far edges may have fewer."""
    for axis in (1, 2):
        starts = np.arange(0, maps.shape[axis], by)
        counts = np.diff(np.append(starts, maps.shape[axis]))
        shape = [-1 if place == axis else 1 for place in range(3)]
        maps = np.add.reduceat(maps, starts, axis=axis) / counts.reshape(shape)
    return maps


def frame(grid: Grid, numbers: Sequence[int | None], theme: Theme) -> str:
    """The gaps and the channels' numbers, as the address of a PNG that lets the maps through; with
    None for a number nothing stands there."""
    windows = _windows(grid, [channel is None for channel in numbers])
    around = np.pad(windows, EDGE, constant_values=PAPER)
    picture = Image.fromarray(around)
    if grid.strip:
        draw = ImageDraw.Draw(picture)
        draw.fontmode = "L"
        font = ImageFont.load_default(size=LETTERS)
        for position, channel in enumerate(numbers):
            if channel is None:
                continue
            left, _, _, bottom = grid.box(position)
            draw.text((left + EDGE, bottom + GAP + EDGE), str(channel), LEVELS - 1, font)
    inks = graded([theme.paper.lstrip("#"), theme.quiet.lstrip("#")])
    picture.putpalette(inks.tobytes())
    picture.info["transparency"] = 0
    return data_url(picture)


def _windows(grid: Grid, are_empty: Sequence[bool]) -> Bytes:
    """0 where a map is to be seen, a line around it, and paper where nothing is."""
    width, height = grid.cell
    window = np.full((height + grid.gap + grid.strip, width + grid.gap), PAPER, np.uint8)
    window[: height + GAP, : width + GAP] = LINE
    window[:height, :width] = 0
    windows = np.repeat(window[None], grid.count, axis=0)
    windows[np.array(are_empty)] = PAPER
    return tiled(windows, grid.columns, (0, 0), PAPER)
