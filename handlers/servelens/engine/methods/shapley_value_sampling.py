"""Shapley value sampling: what each cell of a grid adds, in random orders."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.orders import ORDERS


@attribution(
    name="shapley_value_sampling",
    title="Shapley value sampling",
    family="perturbation",
    scope="input",
    signed=True,
    series=ORDERS,
    comes_in_parts=True,
    paper="https://doi.org/10.1016/j.cor.2008.04.004",
)
class ShapleyValueSampling(Effects):
    """The Shapley value of the pixel's cell of a grid, averaged over random orders of the cells.

    What the score gains when the cell is shown after those before it in the order; the cells add up
    to the difference between the whole image and the covered one. Castro et al., 2009.
    """
