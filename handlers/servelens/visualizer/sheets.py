"""What a figure of channels or of filters holds, before either library draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from servelens.client import Activation, NothingToShow
from servelens.client.colours import Scale, as_plane
from servelens.protocol import Weights

Numbers = NDArray[Any]
COLOURS = 3


@dataclass(frozen=True)
class Sheet:
    """Planes on one scale, or, without one, pictures that are colours already."""

    planes: Sequence[Numbers]
    titles: Sequence[str]
    scale: Scale | None
    words: str


def channels(entry: Activation) -> Sheet:
    maps = [as_plane(channel) for channel in entry.to_numpy()]
    scale = Scale.of(np.stack(maps), signed=False)
    titles = [f"channel {channel.index}\nmean {channel.mean:.3f}" for channel in entry.channels]
    return Sheet(maps, titles, scale, f"{entry.title}, {scale.words()}")


def filters(entry: Weights) -> Sheet:
    """Kernels that read colours are in colour, others summed over what they read, white at zero."""
    kernels = _kernels_of(entry)
    titles = [f"filter {channel}" for channel in entry.channels]
    about = f"filters of {entry.layer}"
    if kernels.shape[1] == COLOURS:
        return Sheet(list(_in_colour(kernels)), titles, None, f"{about}, grey is zero")
    planes = kernels.sum(axis=1)
    scale = Scale.of(planes, signed=True)
    return Sheet(list(planes), titles, scale, f"{about}, {scale.words()}")


def _kernels_of(entry: Weights) -> Numbers:
    """[filters, in, height, width]."""
    if entry.kernels is None or entry.kernels.ndim != 4:
        why = "it gave no numbers" if entry.problem is None else entry.problem.words
        raise NothingToShow(f"{entry.layer} has no filters to draw: {why}")
    return entry.kernels


def _in_colour(kernels: Numbers) -> Numbers:
    """Kernels that read colours as pictures [filters, height, width, 3]; grey is zero."""
    end = float(np.abs(kernels).max()) or 1.0
    return np.moveaxis(kernels / (2 * end) + 0.5, 1, -1)
