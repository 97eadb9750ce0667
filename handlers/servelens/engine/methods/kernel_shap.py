"""Kernel SHAP: Shapley values of a grid's cells, by least squares."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.coalitions import SHAPLEY_COALITIONS


@attribution(
    name="kernel_shap",
    title="Kernel SHAP",
    family="perturbation",
    scope="input",
    signed=True,
    series=SHAPLEY_COALITIONS,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1705.07874",
)
class KernelShap(Effects):
    """The Shapley value of the pixel's cell of a grid, fitted by weighted least squares.

    What each cell adds to the score, averaged over what else is shown; the cells add up to the
    difference between the whole image and the covered one. Lundberg and Lee, 2017.
    """
