"""Feature ablation: cover each cell of the image and see what the score loses."""

from __future__ import annotations

from servelens.engine.kit import Effects, attribution
from servelens.engine.series.single_cells import SINGLE_CELLS


@attribution(
    name="feature_ablation",
    title="Feature ablation",
    family="perturbation",
    scope="input",
    signed=True,
    series=SINGLE_CELLS,
    comes_in_parts=True,
    paper="https://captum.ai/api/feature_ablation.html",
)
class FeatureAblation(Effects):
    """What the score loses when the pixel's cell of a grid, or its segment, is covered.

    With P the cell of pixel p, M(p) = s(x) - s(x with P covered).
    """
