"""Layer-wise relevance propagation: the score, handed back layer by layer to the pixels."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, MeanRelevance, attribution
from servelens.engine.series.unrolled import IMAGE_ALONE


@attribution(
    name="lrp",
    title="LRP-ε",
    family="gradient",
    scope="input",
    signed=True,
    series=IMAGE_ALONE,
    params=(PER_CHANNEL,),
    paper="https://doi.org/10.1371/journal.pone.0130140",
)
class Lrp(MeanRelevance):
    """The score, handed back through each layer in the proportions in which its inputs made it.

    With z(i, j) what input i adds to output j of a layer and z(j) all of it, the bias too,
    R(i) = Σ_j z(i, j) / (z(j) + ε(j)) · R(j). ε has the sign of z(j) and is `epsilon` times the
    root of the mean of z² in the layer; without it the map of a network of ReLUs is input x
    gradient. What biases and ε keep is missing from Σ M, and `convergence_delta` tells it. Bach
    et al., 2015; Montavon et al., 2019.
    """
