"""The values that several keys of a request take: classes, layers, channels."""

from __future__ import annotations

from typing import Any, Mapping, Union

from servelens.protocol.shapes import Choice, Either, Integer, ListOf, Record, Text

CLASS = Either(Integer(), Text(1024))
VERSUS = Record({"class": CLASS, "versus": CLASS}, required=("class", "versus"))
ONE_TARGET = Either(CLASS, VERSUS)
TARGET = Either(ONE_TARGET, ListOf(ONE_TARGET))
LAYER = Text(1024)
LISTED_CHANNELS = ListOf(Integer(0), max_items=65536)
EVERY_CHANNEL = Choice(("all",))
CHANNELS = Either(Integer(1), LISTED_CHANNELS, EVERY_CHANNEL)

TargetValue = Union[int, str, Mapping[str, Any]]
