"""Where in the model's input a map says what: its values there, and their order."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import torch
from torch.nn import functional


def over_colours(values: np.ndarray) -> np.ndarray:
    """[H, W]; a map that keeps the colours apart is summed over them."""
    return values.sum(axis=0) if values.ndim == 3 else values


def on_input(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """[H, W] of the input's size; a layer's map is scaled up bilinearly, as over the photo."""
    summed = over_colours(values)
    if summed.shape == tuple(size):
        return summed
    large = functional.interpolate(
        torch.from_numpy(summed)[None, None], tuple(size), mode="bilinear", align_corners=False
    )
    scaled: np.ndarray = large[0, 0].numpy()
    return scaled


def order_of(heat: np.ndarray, seed: int) -> np.ndarray:
    """[H, W], the turn of each pixel, the highest value's first. Equal ones take turns by lot, for
    any order of their places would be a map of its own."""
    lot = np.random.default_rng(seed).random(heat.size)
    turns = np.empty(heat.size, dtype=np.int64)
    turns[np.lexsort((lot, -heat.ravel()))] = np.arange(heat.size)
    return turns.reshape(heat.shape)


def random_map(places: Sequence[int], seed: int) -> np.ndarray:
    """Independent values, one for each place."""
    drawn: np.ndarray = np.random.default_rng(seed).random(tuple(places), dtype=np.float32)
    return drawn
