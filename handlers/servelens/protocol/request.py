"""One request, read from its keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from servelens.protocol.inquiries import (
    AblateRequest,
    FieldRequest,
    RankRequest,
    WeightsRequest,
    read_ablate,
    read_field,
    read_rank,
    read_weights,
)
from servelens.protocol.keys import KEY_BY_NAME
from servelens.protocol.pictures import Drawing
from servelens.protocol.problem import did_you_mean, place, problem, shorten
from servelens.protocol.vocabulary import TargetValue


@dataclass(frozen=True)
class MethodRequest:
    """One entry of `explain`; params are as the caller gave them, for the method to check."""

    method: str
    layers: Tuple[str, ...] = ()
    targets: Optional[Tuple[TargetValue, ...]] = None
    params: Mapping[str, Any] = field(default_factory=dict)
    where: str = "explain"


@dataclass(frozen=True)
class ActivationsRequest:
    """`layers` None means the archive's default layers."""

    layers: Optional[Tuple[str, ...]] = None
    channels: Union[int, str, Tuple[int, ...]] = 16
    sort_by: str = "activation"
    statistics: bool = True
    maps: bool = True


@dataclass(frozen=True)
class Request:
    """One row's question. `explain` None means the archive's default plan, () nothing."""

    image: Optional[bytes] = None
    top_k: Optional[int] = None
    targets: Tuple[TargetValue, ...] = ("predicted",)
    explain: Optional[Tuple[MethodRequest, ...]] = ()
    activations: Optional[ActivationsRequest] = None
    format: str = "json"
    dtype: str = "auto"
    stream: bool = False
    describe: bool = False
    budget_ms: Optional[float] = None
    seed: int = 0
    id: Optional[str] = None
    part: Optional[Tuple[int, int]] = None
    mask: Optional[Drawing] = None
    render: bool = False
    trust: Union[bool, str] = False
    weights: Optional[WeightsRequest] = None
    ablate: Tuple[AblateRequest, ...] = ()
    rank_channels: Optional[RankRequest] = None
    receptive_field: Optional[FieldRequest] = None

    @property
    def needs_image(self) -> bool:
        """Not for weights alone: they are the same for every photo."""
        more = (self.top_k, self.activations, self.rank_channels, self.receptive_field, self.mask)
        asks_more = self.explain != () or bool(self.ablate) or more != (None,) * len(more)
        return self.weights is None or asks_more


def read_request(
    values: Mapping[str, Any], image: Optional[bytes], *, explain_by_default: bool = False
) -> Request:
    """The Request that these keys make; raises ProblemError on the first that is wrong."""
    for name in values:
        if name not in KEY_BY_NAME:
            raise problem(
                "unknown_key",
                f"{shorten(name)} is no key of a request",
                hint=did_you_mean(name, KEY_BY_NAME),
                where=place(name),
            )
    read: Dict[str, Any] = {
        name: KEY_BY_NAME[name].shape.read(value, name)
        for name, value in values.items()
        if value is not None
    }
    if read.get("stream") and read.get("format") == "npz":
        raise problem("bad_value", "a stream is JSON lines and cannot be npz", where="format")
    part = _part(read.get("part"))
    trust = read.get("trust", False)
    if trust and part is not None:
        raise problem(
            "bad_value",
            "a trust card is of a whole map, and a part is a share of one",
            hint="leave out trust or part",
            where="trust",
        )
    return Request(
        image=image,
        top_k=read.get("top_k"),
        targets=_targets(read.get("target", "predicted")),
        explain=read_explain(read.get("explain", explain_by_default)),
        activations=_activations(read.get("activations", False)),
        format=read.get("format", "json"),
        # Parts are added up: what rounding takes from each would be missing from the sum.
        dtype=read.get("dtype", "auto") if part is None else "float32",
        stream=read.get("stream", False),
        describe=read.get("describe", False),
        budget_ms=read.get("budget_ms"),
        seed=read.get("seed", 0),
        id=read.get("id"),
        part=part,
        mask=read.get("mask"),
        render=read.get("render", False),
        trust=trust,
        weights=read_weights(read.get("weights")),
        ablate=read_ablate(read.get("ablate")),
        rank_channels=read_rank(read.get("rank_channels")),
        receptive_field=read_field(read.get("receptive_field")),
    )


def read_explain(value: Any) -> Optional[Tuple[MethodRequest, ...]]:
    """`explain` in any of its forms; an archive's default plan has the same form."""
    if value is True:
        return None
    if value is False:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(_method(entry, f"explain[{i}]") for i, entry in enumerate(value))
    return (_method(value, "explain"),)


def _method(entry: Union[str, Mapping[str, Any]], where: str) -> MethodRequest:
    if isinstance(entry, str):
        return MethodRequest(entry, where=where)
    if "layer" in entry and "layers" in entry:
        raise problem("bad_value", f"{where} has both layer and layers; give one", where=where)
    layers = (entry["layer"],) if "layer" in entry else tuple(entry.get("layers", ()))
    own = ("method", "layer", "layers", "target")
    return MethodRequest(
        method=entry["method"],
        layers=layers,
        targets=_targets(entry["target"]) if "target" in entry else None,
        params={name: value for name, value in entry.items() if name not in own},
        where=where,
    )


def _targets(value: Any) -> Tuple[TargetValue, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _part(value: Optional[Mapping[str, int]]) -> Optional[Tuple[int, int]]:
    if value is None:
        return None
    index, of = value["index"], value["of"]
    if index >= of:
        raise problem(
            "bad_value",
            f"part.index is {shorten(index)}, of {of} parts",
            hint=f"parts are 0 to {of - 1}",
            where="part.index",
        )
    return index, of


def _activations(value: Any) -> Optional[ActivationsRequest]:
    if value is False:
        return None
    if value is True:
        return ActivationsRequest()
    if isinstance(value, str):
        return ActivationsRequest(layers=(value,))
    if isinstance(value, (list, tuple)):
        return ActivationsRequest(layers=tuple(value))
    return ActivationsRequest(**value)
