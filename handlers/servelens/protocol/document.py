"""What a caller is answered: frozen, detached from the model, and with its provenance.

A field marked `absent_when_none` is a key that stands in the document only when it was asked for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from servelens.protocol.problem import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensor = NDArray[Any]
else:

    class Tensor:
        """Stands for a NumPy array in these declarations; this module itself needs no NumPy."""


WHEN_ASKED = {"absent_when_none": True}


@dataclass(frozen=True)
class ModelRef:
    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class InputRef:
    """Where the model looked: in the photo as shown, after EXIF transposition."""

    width: int
    height: int
    crop: Tuple[int, int, int, int]
    size: Tuple[int, int]


@dataclass(frozen=True)
class Prediction:
    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class ClassRef:
    index: int
    label: str


@dataclass(frozen=True)
class TargetRef:
    index: int
    label: str
    versus: Optional[ClassRef] = field(default=None, metadata=WHEN_ASKED)


@dataclass(frozen=True)
class Statistics:
    mean: float
    std: float
    sparsity: float
    max: float
    min: float
    active_channels: int
    num_channels: int
    spatial_size: Tuple[int, ...]
    dead_channels: int


@dataclass(frozen=True)
class Channel:
    index: int
    mean: float


@dataclass(frozen=True)
class NextPage:
    channels: Tuple[int, ...]


@dataclass(frozen=True)
class Activation:
    layer: str
    shape: Optional[Tuple[int, ...]] = None
    statistics: Optional[Statistics] = None
    channels: Tuple[Channel, ...] = ()
    maps: Optional[Tensor] = None
    next: Optional[NextPage] = None
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class TrustCurves:
    """The target's probability after each of 0 to 16 steps."""

    deletion: Tuple[float, ...]
    insertion: Tuple[float, ...]
    random_deletion: Tuple[float, ...]
    random_insertion: Tuple[float, ...]


@dataclass(frozen=True)
class TrustCard:
    """Evidence on one map. `compared_with` says of each number what to hold it against, and of
    each that is null why it is; `forwards` counts the images that the card rests on."""

    completeness: Optional[float] = None
    deletion_auc: Optional[float] = None
    insertion_auc: Optional[float] = None
    random_deletion_auc: Optional[float] = None
    random_insertion_auc: Optional[float] = None
    stability: Optional[float] = None
    sanity: Optional[float] = None
    pointing: Optional[float] = None
    mass: Optional[float] = None
    curves: Optional[TrustCurves] = None
    compared_with: Mapping[str, str] = field(default_factory=dict)
    forwards: int = 0


@dataclass(frozen=True)
class Attribution:
    method: str
    layer: Optional[str] = None
    target: Optional[TargetRef] = None
    signed: bool = False
    map: Optional[Tensor] = None
    params: Mapping[str, Any] = field(default_factory=dict)
    convergence_delta: Optional[float] = None
    trust: Optional[TrustCard] = None
    # A PNG of the map laid over the photo: base64 in JSON, an array of bytes in npz.
    image: Optional[bytes] = None
    problem: Optional[Problem] = None
    # Of a part: the parts' maps, summed, are divided by their weights, summed.
    weight: Optional[Tensor] = field(default=None, metadata=WHEN_ASKED)
    # What was asked for and a budget has lowered; `params` are those that were used.
    coarsened: Optional[Mapping[str, Any]] = field(default=None, metadata=WHEN_ASKED)


@dataclass(frozen=True)
class Histogram:
    """Bin i holds what lies from edges[i] to edges[i + 1]."""

    counts: Tuple[int, ...]
    edges: Tuple[float, ...]


@dataclass(frozen=True)
class WeightStatistics:
    """`near_zero` is the share of weights whose magnitude is `near_zero_at_most` or less."""

    count: int
    mean: float
    std: float
    norm: float
    min: float
    max: float
    near_zero: float
    near_zero_at_most: float
    histogram: Histogram


@dataclass(frozen=True)
class Weights:
    """`kernels` are those of `channels`, as many as fit; `kernel_norms` are of all."""

    layer: str
    shape: Optional[Tuple[int, ...]] = None
    statistics: Optional[WeightStatistics] = None
    channels: Tuple[int, ...] = ()
    kernels: Optional[Tensor] = None
    kernel_norms: Optional[Tensor] = None
    bias: Optional[Tensor] = None
    next: Optional[NextPage] = None
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class Ablation:
    """Predictions of the model as it is, and with all that was asked for changed in it."""

    before: Tuple[Prediction, ...]
    after: Tuple[Prediction, ...] = ()
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class ChannelEffect:
    index: int
    effect: float


@dataclass(frozen=True)
class ChannelRanking:
    """What the target's logit loses without each channel, or an estimate of it."""

    layer: str
    target: TargetRef
    mode: str
    channels: Tuple[ChannelEffect, ...] = ()
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class TheoreticalField:
    """By arithmetic, (vertical, horizontal) each, in pixels of the input: unit u of an axis has its
    centre at offset + u * stride. With `whole` it sees all of the image."""

    size: Tuple[int, int]
    stride: Tuple[float, float]
    offset: Tuple[float, float]
    whole: bool


@dataclass(frozen=True)
class ReceptiveField:
    """What one unit sees: by arithmetic, `box` being that in the photo, and as measured."""

    layer: str
    channel: int
    mode: str
    position: Optional[Tuple[int, int]] = None
    theoretical: Optional[TheoreticalField] = None
    box: Optional[Tuple[int, int, int, int]] = None
    window: Optional[int] = None
    stride: Optional[int] = None
    value: Optional[float] = None
    map: Optional[Tensor] = None
    problem: Optional[Problem] = None


@dataclass(frozen=True)
class Passes:
    """Images through the model and back."""

    forwards: int
    backwards: int


@dataclass(frozen=True)
class Cost:
    """Images through the model for this request, and where the time of its batch went."""

    forwards: int
    backwards: int
    ms: Mapping[str, float]
    # Of a part: what the same would take without `part`, at most.
    whole: Optional[Passes] = field(default=None, metadata=WHEN_ASKED)


@dataclass(frozen=True)
class Document:
    """A lens document. Where the request came without an image, `input` is null and there are no
    predictions."""

    lens: int
    id: Optional[str]
    model: ModelRef
    input: Optional[InputRef]
    predictions: Tuple[Prediction, ...]
    activations: Tuple[Activation, ...]
    attributions: Tuple[Attribution, ...]
    cost: Cost
    problems: Optional[Tuple[Problem, ...]] = field(default=None, metadata=WHEN_ASKED)
    weights: Optional[Tuple[Weights, ...]] = field(default=None, metadata=WHEN_ASKED)
    ablation: Optional[Ablation] = field(default=None, metadata=WHEN_ASKED)
    channel_ranking: Optional[Tuple[ChannelRanking, ...]] = field(default=None, metadata=WHEN_ASKED)
    receptive_field: Optional[ReceptiveField] = field(default=None, metadata=WHEN_ASKED)


def to_wire(value: Any) -> Any:
    """Dataclasses as plain dicts and lists; anything else, tensors included, as it is."""
    if isinstance(value, Problem):
        return value.to_wire()
    if dataclasses.is_dataclass(value):
        return _fields_to_wire(value)
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    return value


def _fields_to_wire(value: Any) -> Dict[str, Any]:
    wire = {}
    for declared in dataclasses.fields(value):
        item = getattr(value, declared.name)
        if item is None and declared.metadata.get("absent_when_none"):
            continue
        wire[declared.name] = to_wire(item)
    return wire
