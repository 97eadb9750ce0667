"""LIME: a linear model of the score, fitted around the image."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.coalitions import COALITIONS


@attribution(
    name="lime",
    title="LIME",
    family="perturbation",
    scope="input",
    signed=True,
    series=COALITIONS,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1602.04938",
)
class Lime(Effects):
    """The pixel's cell in a linear model of the score, fitted to images with cells covered.

    Ridge regression on which cells are shown, images nearer to the whole counting more. Ribeiro et
    al., 2016.
    """
