"""What a caller may ask: every key of a request, declared once.

Names of layers, methods and classes are only checked for their form here; whether the model has
them is for the engine to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Tuple

from servelens.protocol.inquiries import ABLATE, RANK_CHANNELS, RECEPTIVE_FIELD, WEIGHTS
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
from servelens.protocol.vocabulary import CHANNELS, LAYER, TARGET

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
