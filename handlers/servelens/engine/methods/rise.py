"""RISE: the score under random masks, told to the pixels that were shown."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.soft_masks import SOFT_MASKS


@attribution(
    name="rise",
    title="RISE",
    family="perturbation",
    scope="input",
    signed=True,
    series=SOFT_MASKS,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1806.07421",
)
class Rise(Effects):
    """How much higher the score is under random soft masks that show the pixel than under others.

    With m random masks of mean p, M = E[(s(x ⊙ m) - s(x)) · (m - p)] / (p (1 - p)): the paper's
    map, shifted and scaled so that its sign means something. Petsiuk et al., 2018.
    """
