"""What may be asked beside predictions, activations and maps: of weights, channels and units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple, Union

from servelens.protocol.problem import problem
from servelens.protocol.shapes import Choice, Either, Flag, Integer, ListOf, Null, Number, Record
from servelens.protocol.vocabulary import (
    CHANNELS,
    EVERY_CHANNEL,
    LAYER,
    LISTED_CHANNELS,
    TARGET,
    TargetValue,
)

ABLATION_MODES = ("zero", "mean", "scale")
RANKING_MODES = ("ablation", "first_order")
FIELD_MODES = ("gradient", "occlusion")
# Far beyond what any network was trained with, and near enough to stay finite in most.
LARGEST_FACTOR = 100

WEIGHTS = Either(
    LAYER,
    ListOf(LAYER),
    Record(
        {"layers": ListOf(LAYER), "channels": CHANNELS, "kernels": Flag()}, required=("layers",)
    ),
)
ABLATE = ListOf(
    Record(
        {
            "layer": LAYER,
            "channels": Either(LISTED_CHANNELS, EVERY_CHANNEL),
            "mode": Choice(ABLATION_MODES),
            "factor": Number(-LARGEST_FACTOR, LARGEST_FACTOR),
        },
        required=("layer", "channels"),
    )
)
RANK_CHANNELS = Record(
    {"layer": LAYER, "target": TARGET, "mode": Choice(RANKING_MODES)}, required=("layer",)
)
RECEPTIVE_FIELD = Record(
    {
        "layer": LAYER,
        "channel": Integer(0),
        "position": Either(ListOf(Integer(0), min_items=2, max_items=2), Null()),
        "mode": Choice(FIELD_MODES),
        "window": Integer(1, 4096),
        "stride": Integer(1, 4096),
    },
    required=("layer", "channel"),
)


@dataclass(frozen=True)
class WeightsRequest:
    layers: Tuple[str, ...]
    channels: Union[int, str, Tuple[int, ...]] = "all"
    kernels: bool = True
    where: str = "weights"


@dataclass(frozen=True)
class AblateRequest:
    """`channels` None means all of the layer's."""

    layer: str
    channels: Optional[Tuple[int, ...]]
    mode: str = "zero"
    factor: float = 0.0
    where: str = "ablate[0]"


@dataclass(frozen=True)
class RankRequest:
    """`targets` None means those of the request."""

    layer: str
    targets: Optional[Tuple[TargetValue, ...]] = None
    mode: str = "ablation"


@dataclass(frozen=True)
class FieldRequest:
    """`position` None means the centre; window and stride None what fits the unit's field."""

    layer: str
    channel: int
    position: Optional[Tuple[int, int]] = None
    mode: str = "gradient"
    window: Optional[int] = None
    stride: Optional[int] = None


def read_weights(value: Any) -> Optional[WeightsRequest]:
    if value is None:
        return None
    if isinstance(value, str):
        return WeightsRequest((value,))
    if isinstance(value, tuple):
        return WeightsRequest(value)
    return WeightsRequest(**value, where="weights.layers")


def read_ablate(value: Optional[Tuple[Mapping[str, Any], ...]]) -> Tuple[AblateRequest, ...]:
    return tuple(_ablation(item, f"ablate[{i}]") for i, item in enumerate(value or ()))


def read_rank(value: Optional[Mapping[str, Any]]) -> Optional[RankRequest]:
    if value is None:
        return None
    target = value.get("target")
    targets = target if target is None or isinstance(target, tuple) else (target,)
    return RankRequest(value["layer"], targets, value.get("mode", "ablation"))


def read_field(value: Optional[Mapping[str, Any]]) -> Optional[FieldRequest]:
    if value is None:
        return None
    asked = FieldRequest(**value)
    for name in ("window", "stride"):
        if name in value and asked.mode != "occlusion":
            raise problem(
                "bad_value",
                f"receptive_field.{name} says what is covered, and mode {asked.mode!r} covers "
                "nothing",
                hint="leave it out, or give mode 'occlusion'",
                where=f"receptive_field.{name}",
            )
    if asked.window and asked.stride and asked.stride > asked.window:
        raise problem(
            "bad_value",
            f"receptive_field.stride is {asked.stride}, more than the window's {asked.window}: "
            "pixels between two windows would never be covered",
            hint="give a stride of at most the window",
            where="receptive_field.stride",
        )
    return asked


def _ablation(item: Mapping[str, Any], where: str) -> AblateRequest:
    mode = item.get("mode", "zero")
    if mode == "scale" and "factor" not in item:
        raise problem(
            "bad_value",
            f"{where} has mode 'scale' and lacks 'factor', what to multiply by",
            where=f"{where}.factor",
        )
    if mode != "scale" and "factor" in item:
        raise problem(
            "bad_value",
            f"{where} has a factor, and mode {mode!r} takes none",
            hint="leave it out, or give mode 'scale'",
            where=f"{where}.factor",
        )
    channels = None if item["channels"] == "all" else item["channels"]
    return AblateRequest(item["layer"], channels, mode, item.get("factor", 0.0), where)
