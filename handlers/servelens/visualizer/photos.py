"""Images as people who train models have them, tensors too, as photos that are sent or decoded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from servelens.client.errors import BadPhoto
from servelens.client.photos import Photo, photo_bytes

if TYPE_CHECKING:
    import torch

Picture = Union[Photo, "torch.Tensor"]


def photo_of(picture: Picture) -> bytes:
    """One photo; of tensors and arrays of floats each number becomes the nearest of 256 levels."""
    photos = photos_of(picture)
    if len(photos) != 1:
        raise BadPhoto(f"one photo is asked about at a time, and this are {len(photos)}")
    return photos[0]


def photos_of(picture: Picture) -> list[bytes]:
    """The photos of a batch [B, C, H, W], or one."""
    if _is_tensor(picture):
        return [photo_bytes(_levels(_channels_last(one))) for one in _batch(picture)]
    plain: Any = _levels(picture) if isinstance(picture, np.ndarray) else picture
    return [photo_bytes(plain)]


def _is_tensor(picture: Any) -> bool:
    """A server's model is looked into without torch, where nobody has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(picture, torch.Tensor)


def _batch(tensor: Any) -> list[np.ndarray[Any, Any]]:
    values = tensor.detach().cpu().numpy()
    if values.ndim == 2:
        values = values[None]
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise BadPhoto(
            "a tensor must be [channels, height, width] with 1 or 3 channels, or a batch of those, "
            f"not {list(tensor.shape)}"
        )
    return list(values)


def _channels_last(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)


def _levels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers from 0 to 1 as bytes; bytes as they are."""
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values)
    if not values.size or not (values.min() >= 0 and values.max() <= 1):
        raise BadPhoto(
            "a photo of floats has numbers from 0 to 1. Give it before it is normalised: the mean "
            "and std that the visualizer was made with are taken off here"
        )
    return np.ascontiguousarray((values * 255).round().astype(np.uint8))
