"""What TorchServe measures of itself, read from its metrics door in Prometheus' text format.

That door asks for no key. Figures of the machine come once a minute, those of models as they are
asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from servelens.client.keys import INFERENCE, NoKeys
from servelens.client.transport import Transport

CONNECT_S, ANSWER_S = 2.0, 5.0
LINE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MICROSECONDS = 1000.0


@dataclass(frozen=True)
class Reading:
    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Load:
    """One version of a model since the server started; times are means, in milliseconds."""

    model: str
    version: str
    requests: int
    waited_ms: float
    took_ms: float


@dataclass(frozen=True)
class Gauges:
    readings: tuple[Reading, ...]

    @classmethod
    def at(cls, url: str) -> Gauges:
        """Raises ClientError where the door does not answer."""
        transport = Transport(NoKeys(), CONNECT_S, ANSWER_S)
        try:
            return cls(tuple(parse(transport.call(INFERENCE, "GET", f"{url}/metrics").text)))
        finally:
            transport.close()

    def total(self, name: str) -> float | None:
        """Over all that is measured under this name; None where nothing is."""
        found = [reading.value for reading in self.readings if reading.name == name]
        return sum(found) if found else None

    def mean(self, name: str) -> float | None:
        """As of several GPUs."""
        found = [reading.value for reading in self.readings if reading.name == name]
        return sum(found) / len(found) if found else None

    def loads(self) -> list[Load]:
        requests = self._by_model("ts_inference_requests_total")
        waits = self._by_model("ts_queue_latency_microseconds")
        times = self._by_model("ts_inference_latency_microseconds")
        return [
            Load(
                *key,
                round(count),
                waits.get(key, 0.0) / count / MICROSECONDS,
                times.get(key, 0.0) / count / MICROSECONDS,
            )
            for key, count in sorted(requests.items())
            if count > 0
        ]

    def _by_model(self, name: str) -> dict[tuple[str, str], float]:
        return {
            (reading.labels.get("model_name", ""), reading.labels.get("model_version", "")): (
                reading.value
            )
            for reading in self.readings
            if reading.name == name
        }


def parse(text: str) -> Iterator[Reading]:
    """What is a finite number; the rest of the format is comments."""
    for line in text.splitlines():
        found = LINE.fullmatch(line.strip())
        value = _number(found["value"]) if found else None
        if found and value is not None:
            yield Reading(found["name"], dict(LABEL.findall(found["labels"] or "")), value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
