"""What attribution methods are made of: their declaration, parameters, series and tallies."""

from servelens.engine.kit.baselines import BASELINES, baseline_of, baseline_param
from servelens.engine.kit.declare import Method, Reading, Reads, attribution
from servelens.engine.kit.maps import Map
from servelens.engine.kit.params import PER_CHANNEL, Param
from servelens.engine.kit.propagation import (
    MeanRelevance,
    Propagation,
    UnrolledSamples,
    UnrolledSeries,
    propagation_of,
)
from servelens.engine.kit.segments import Segments
from servelens.engine.kit.series import Ends, Samples, Series, Shape, Shot, Source, Tally
from servelens.engine.kit.tallies import (
    ChannelScores,
    Effects,
    LayerPathSum,
    MeanGradient,
    one_weight,
    over_colours,
)

__all__ = [
    "BASELINES",
    "PER_CHANNEL",
    "ChannelScores",
    "Effects",
    "Ends",
    "LayerPathSum",
    "Map",
    "MeanGradient",
    "MeanRelevance",
    "Method",
    "Param",
    "Propagation",
    "Reading",
    "Reads",
    "Samples",
    "Segments",
    "Series",
    "Shape",
    "Shot",
    "Source",
    "Tally",
    "UnrolledSamples",
    "UnrolledSeries",
    "attribution",
    "baseline_of",
    "baseline_param",
    "one_weight",
    "over_colours",
    "propagation_of",
]
