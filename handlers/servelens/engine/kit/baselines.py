"""The images that stand for 'nothing': what a path starts from, what covers a window."""

from __future__ import annotations

import torch
from torch.nn import functional

from servelens.engine.kit.params import Param
from servelens.engine.kit.series import Source
from servelens.protocol.shapes import Choice

BASELINES = ("black", "white", "mean", "blur", "random")
# Of the image's shorter side: nothing of the size of an object stays to be seen.
BLUR = 0.08


def baseline_param(default: str) -> Param:
    return Param(
        "baseline",
        Choice(BASELINES),
        default,
        "what stands for an absent pixel: black, white, the training images' mean, the image "
        "blurred, or noise",
    )


def baseline_of(kind: str, source: Source) -> torch.Tensor:
    """[C, H, W] in the model's own normalised values."""
    if kind == "blur":
        return blurred(source.input, BLUR * min(source.input.shape[1:]))
    if kind == "mean":
        return torch.zeros_like(source.input)
    if kind == "random":
        noise = torch.rand(source.input.shape, generator=source.generator())
        return _normalised(noise.to(source.input.device), source)
    level = {"black": 0.0, "white": 1.0}[kind]
    return _normalised(torch.full_like(source.input, level), source)


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """[C, H, W] under a Gaussian, its border repeated outwards."""
    reach = max(1, round(3 * sigma))
    place = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    bell = torch.exp(-0.5 * (place / sigma) ** 2)
    bell = bell / bell.sum()
    for kernel, border in (
        (bell.view(1, 1, -1, 1), (0, 0, reach, reach)),
        (bell.view(1, 1, 1, -1), (reach, reach, 0, 0)),
    ):
        padded = functional.pad(image[:, None], border, mode="replicate")
        image = functional.conv2d(padded, kernel)[:, 0]
    return image


def _normalised(pixels: torch.Tensor, source: Source) -> torch.Tensor:
    shape = (-1, 1, 1)
    mean = torch.tensor(source.spec.mean, device=pixels.device).view(shape)
    std = torch.tensor(source.spec.std, device=pixels.device).view(shape)
    return (pixels - mean) / std
