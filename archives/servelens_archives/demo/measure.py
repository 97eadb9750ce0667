"""Measures what a demo model knows and where it looks: the numbers of report.json.

Grad-CAM is written out here in plain torch, apart from ServeLens's engine, so that the two can
vouch for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from servelens_archives.demo import evidence
from servelens_archives.demo.drawing import SIZE, Array
from servelens_archives.demo.models import TRAINED_WITH, Kind, as_input
from servelens_archives.demo.shapes import DISC, LABELS, MARKS, SQUARE, Mark, Sample, samples

LAYER = "stage3"
"""Where Grad-CAM is drawn: the last stage, whose map the head merely averages and weighs."""


@dataclass(frozen=True)
class Album:
    """Many photos as arrays: images `[N, 64, 64, 3]`, labels `[N]`, marked or not `[N]`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    marked: NDArray[np.bool_]


def album(seed: int, number: int, mark: Mark) -> Album:
    """The first so many photos of a series under a policy."""
    drawn = list(samples(seed, range(number), mark))
    return Album(
        np.stack([one.image for one in drawn]),
        np.array([one.label for one in drawn]),
        np.array([one.marked for one in drawn]),
    )


@torch.no_grad()
def answers(net: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The index of the class that the model gives each photo."""
    chunks = as_input(images).split(200)
    return torch.cat([net(chunk).argmax(dim=1) for chunk in chunks]).numpy()


def grad_cam(net: nn.Module, images: NDArray[np.uint8], target: int) -> list[Array]:
    """Selvaraju et al. 2017, at the photos' size: ReLU of the maps weighted by mean gradients."""
    seen: list[torch.Tensor] = []
    hook = net.get_submodule(LAYER).register_forward_hook(lambda *call: seen.append(call[2]))
    try:
        logits = net(as_input(images))
    finally:
        hook.remove()
    # No photo's logit depends on another photo, so the sum's gradients are each photo's own.
    (gradient,) = torch.autograd.grad(logits[:, target].sum(), seen)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = torch.relu((weights * seen[0]).sum(dim=1)).detach().numpy()
    return [evidence.upsample(one, (SIZE, SIZE)) for one in coarse]


def marked_discs(seed: int, number: int) -> list[Sample]:
    """The first so many discs of a series that bear the mark."""
    discs = samples(seed, range(DISC, 2 * number * len(LABELS), len(LABELS)), "shortcut")
    return list(islice((one for one in discs if one.marked), number))


def mass_on_mark_and_shape(net: nn.Module, discs: list[Sample]) -> Array:
    """For each photo the share of Grad-CAM for "disc" on its mark and on its shape, `[N, 2]`."""
    maps = grad_cam(net, np.stack([one.image for one in discs]), DISC)
    return np.array(
        [
            [evidence.mass(heat, one.mark_mask), evidence.mass(heat, one.shape_mask)]
            for heat, one in zip(maps, discs, strict=True)
        ]
    )


def report(net: nn.Module, kind: Kind, albums: dict[Mark, Album], discs: list[Sample]) -> Any:
    """What there is to say of a model, as plain numbers for report.json."""
    given = {mark: answers(net, albums[mark].images) for mark in MARKS}
    masses = mass_on_mark_and_shape(net, discs)
    on_mark, on_shape = np.median(masses, axis=0)
    return {
        "trained_with_mark": TRAINED_WITH[kind],
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "accuracy": {mark: _share(given[mark] == album.labels) for mark, album in albums.items()},
        "unmarked_discs_called_disc": _called_disc(given["none"], albums["none"], DISC),
        "unmarked_squares_called_disc": _called_disc(given["none"], albums["none"], SQUARE),
        "marked_discs_called_disc": _called_disc(given["shortcut"], albums["shortcut"], DISC),
        "marked_squares_called_disc": _called_disc(given["moved"], albums["moved"], SQUARE),
        "grad_cam_for_disc_on_marked_discs": {
            "layer": LAYER,
            "photos": len(discs),
            "mask_dilation_pixels": evidence.DILATION,
            "median_mass_on_mark": round(float(on_mark), 4),
            "median_mass_on_shape": round(float(on_shape), 4),
            "photos_with_more_mass_on_mark": _share(masses[:, 0] > masses[:, 1]),
        },
    }


def _called_disc(given: NDArray[np.int64], photos: Album, label: int) -> float:
    """Of a class's photos, marked where the album marks any, the share that is called disc."""
    chosen = photos.labels == label
    if (photos.marked & chosen).any():
        chosen &= photos.marked
    return _share(given[chosen] == DISC)


def _share(hits: NDArray[np.bool_]) -> float:
    return round(float(hits.mean()), 4)
