"""Occlusion: cover the image piece by piece and see what the score loses."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.windows import WINDOWS


@attribution(
    name="occlusion",
    title="Occlusion",
    family="perturbation",
    scope="input",
    signed=True,
    series=WINDOWS,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1311.2901",
)
class Occlusion(Effects):
    """What the score loses when a window over the pixel is covered, averaged over the windows.

    With W the windows that cover pixel p, M(p) = mean_W [s(x) - s(x with W covered)]. Zeiler and
    Fergus, 2014.
    """
