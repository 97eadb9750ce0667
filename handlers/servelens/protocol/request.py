"""What a caller may ask: every key of the request, declared once, and the Request they make.

Names of layers, methods and classes are only checked for their form here; whether the model has
them is for the engine to say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from servelens.protocol.inquiries import (
    ABLATE,
    RANK_CHANNELS,
    RECEPTIVE_FIELD,
    WEIGHTS,
    AblateRequest,
    FieldRequest,
    RankRequest,
    WeightsRequest,
    read_ablate,
    read_field,
    read_rank,
    read_weights,
)
from servelens.protocol.pictures import Drawing
from servelens.protocol.problem import did_you_mean, place, problem, shorten
from servelens.protocol.shapes import (
    Choice,
    Either,
    Flag,
    Integer,
    ListOf,
    Number,
    Png,
    Record,
    Shape,
    Text,
)
from servelens.protocol.vocabulary import CHANNELS, LAYER, TARGET, TargetValue

METHOD_ENTRY = Record(
    {"method": Text(128), "layer": LAYER, "layers": ListOf(LAYER), "target": TARGET},
    required=("method",),
    rest=True,
)
ONE_METHOD = Either(Text(128), METHOD_ENTRY)
SORT_ORDERS = ("activation", "variance", "random", "relevance")
ACTIVATIONS_QUERY = Record(
    {
        "layers": ListOf(LAYER),
        "channels": CHANNELS,
        "sort_by": Choice(SORT_ORDERS),
        "statistics": Flag(),
        "maps": Flag(),
    }
)
PART = Record({"index": Integer(0), "of": Integer(1, 10000)}, required=("index", "of"))


@dataclass(frozen=True)
class Key:
    """One key of the request."""

    name: str
    shape: Shape
    default: Any
    help: str
    comma_list: bool = False


KEYS: Tuple[Key, ...] = (
    Key("top_k", Integer(1), 5, "how many classes to answer"),
    Key("target", TARGET, "predicted", "which class, or classes, to explain"),
    Key(
        "explain",
        Either(Flag(), ONE_METHOD, ListOf(ONE_METHOD)),
        False,
        "attribution methods; true is the archive's default plan",
        comma_list=True,
    ),
    Key(
        "activations",
        Either(Flag(), LAYER, ListOf(LAYER), ACTIVATIONS_QUERY),
        False,
        "layers whose activations to answer; true is the archive's default layers",
        comma_list=True,
    ),
    Key("format", Choice(("json", "npz")), "json", "how the document and its tensors are encoded"),
    Key("dtype", Choice(("auto", "float32")), "auto", "auto is float16 where the values allow it"),
    Key("stream", Flag(), False, "answer as frames, with progress and partial maps"),
    Key("describe", Flag(), False, "answer the capability document; needs no image"),
    Key("budget_ms", Number(0), None, "the most compute to spend"),
    Key("seed", Integer(0, 2**63 - 1), 0, "seed of everything drawn at random"),
    Key("id", Text(128), None, "echoed in the document"),
    Key("weights", WEIGHTS, None, "layers whose weights to answer; alone it needs no image"),
    Key("ablate", ABLATE, None, "channels to silence or scale, applied together"),
    Key("rank_channels", RANK_CHANNELS, None, "a layer's channels by their effect on a class"),
    Key("receptive_field", RECEPTIVE_FIELD, None, "what one unit sees"),
    Key(
        "trust",
        Either(Flag(), Choice(("full",))),
        False,
        "evidence on each map; true keeps to 100 images a map, full makes every check",
    ),
    Key("mask", Png(), None, "where the true cause is known to be; black is elsewhere"),
    Key("part", PART, None, "a share of a method's work, to be added up"),
    Key("render", Flag(), False, "a ready-made picture with each map, laid over the photo"),
)
KEY_BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}
IMAGE_FIELDS = ("image", "data", "body")
# Keys whose value may be a file part of a form.
FILE_KEYS = tuple(key.name for key in KEYS if isinstance(key.shape, Png))


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


def read_form_value(name: str, text: str) -> Any:
    """A form knows only text: read as JSON where it parses, else left as text."""
    key = KEY_BY_NAME.get(name)
    if name == "id":
        return text
    value = read_json_or_text(text)
    if key is not None and key.comma_list and isinstance(value, str) and "," in value:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def read_json(text: Union[str, bytes]) -> Any:
    """The JSON value; raises ValueError with the reason where it is none."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_bounded_int)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_json_or_text(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text


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


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    """Python takes quadratic time over long digits; no key takes a number this long."""
    if len(digits) > 20:
        raise ValueError("the number is too long")
    return int(digits)
