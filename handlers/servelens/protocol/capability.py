"""What a model is and what may be asked of it: the capability document.

The survey's part is written into the archive; what is known only where it runs, a worker adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple, Union

from servelens.protocol.document import TheoreticalField


@dataclass(frozen=True)
class ModelFacts:
    """Without a title of its own a model bears its name; `architecture` may be a class's name."""

    name: str
    title: str
    version: str
    architecture: Optional[str]
    parameters: int


@dataclass(frozen=True)
class ServedModel(ModelFacts):
    """`digest` is sha256 over all files of the archive but the capability file."""

    digest: str


@dataclass(frozen=True)
class InputFacts:
    """`size` is [height, width]. `prepared` is true where an instrumented archive's own handler
    prepares photos: `resize` and `crop` are then null, `mean` and `std` as measured, or 0 and 1."""

    size: Tuple[int, int]
    channels: int
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    resize: Optional[int]
    crop: Optional[str]
    prepared: bool


@dataclass(frozen=True)
class OutputFacts:
    """`head` is `logits`, or `softmax`, `log_softmax` or `sigmoid` where the model ends in one;
    `activation` is what makes probabilities of logits."""

    head: str
    classes: int
    activation: str


@dataclass(frozen=True)
class LayerFacts:
    """In the order in which their last calls end. `leaf`: no other module runs inside it.
    `in_place`: what it gives is overwritten later in the pass, so that a hook of one's own must
    clone it, as the activations answered here have been."""

    name: str
    type: str
    stage: Optional[str]
    calls: int
    shape: Optional[Tuple[int, ...]]
    stride: Optional[Tuple[int, int]]
    kernel: Optional[Tuple[int, int]]
    parameters: int
    leaf: bool
    in_place: bool
    receptive_field: Optional[TheoreticalField]


@dataclass(frozen=True)
class ParamFacts:
    """`type` is `integer`, `number`, `boolean`, `string`, `choice`, or a drawing's `image/png`."""

    name: str
    type: str
    default: Any
    min: Optional[float]
    max: Optional[float]
    choices: Optional[Tuple[str, ...]]
    help: str


@dataclass(frozen=True)
class MethodFacts:
    """`scope` is `input` or `layer`; `reason` says why the model does not support it.
    `relative_cost` counts forward passes, a backward one as two, for one target with the
    parameters' defaults."""

    name: str
    title: str
    family: str
    summary: str
    signed: bool
    scope: str
    params: Tuple[ParamFacts, ...]
    supported: bool
    reason: Optional[str]
    relative_cost: float
    comes_in_parts: bool
    complete: bool
    paper: str


@dataclass(frozen=True)
class NumberFacts:
    """One of a trust card's; `max` is null where it has no end."""

    name: str
    min: float
    max: Optional[float]
    better: Optional[str]
    compared_with: str


@dataclass(frozen=True)
class CheckFacts:
    """One kind of evidence on maps, in the order in which they are made."""

    name: str
    summary: str
    numbers: Tuple[NumberFacts, ...]


@dataclass(frozen=True)
class Judged:
    """Means over the photos of one method's cards, null where no photo gave the number. A gain is
    what deletion or insertion is better than chance by; `out` says why it was not to be chosen."""

    method: str
    score: Optional[float]
    deletion_gain: Optional[float]
    insertion_gain: Optional[float]
    pointing: Optional[float]
    mass: Optional[float]
    stability: Optional[float]
    sanity: Optional[float]
    out: Optional[str]


@dataclass(frozen=True)
class PlanEvidence:
    """How the default plan came about; null where the build was given no example photos.
    `chosen` is null where all methods were out; `methods` has the best first."""

    chosen: Optional[str]
    why: str
    rule: str
    photos: int
    photos_found: int
    masks: int
    methods: Tuple[Judged, ...]


@dataclass(frozen=True)
class LimitFacts:
    """What one answer of this worker may cost."""

    pixels: int
    steps: int
    layers: int
    response_bytes: int
    budget_ms: float


@dataclass(frozen=True)
class VersionFacts:
    """`captum` is null where it is not installed beside the worker."""

    python: str
    torch: str
    captum: Optional[str]
    servelens: str


@dataclass(frozen=True)
class Surveyed:
    """What is known before any worker runs."""

    lens: int
    model: ModelFacts
    input: InputFacts
    output: OutputFacts
    labels: Tuple[str, ...]
    layers: Tuple[LayerFacts, ...]
    edges: Tuple[Tuple[str, str], ...]
    default_layer: Optional[str]
    default_layers: Tuple[str, ...]
    default_plan: Tuple[Union[str, Mapping[str, Any]], ...]
    default_plan_evidence: Optional[PlanEvidence]
    warnings: Tuple[str, ...]
    trust: Tuple[CheckFacts, ...]
    methods: Tuple[MethodFacts, ...]


@dataclass(frozen=True)
class Capability(Surveyed):
    """`default_plan` has the form of `explain`; `warnings` are sentences for the model's owner.
    `edges` lead from leaf to leaf, an earlier call of a module being `name#0`."""

    model: ServedModel
    device: str
    limits: LimitFacts
    versions: VersionFacts
