"""What a service envelope hands over, and what it is given back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from servelens.codec import write_json
from servelens.protocol import problem
from servelens.torchserve.enveloped import as_values, rows_of

PROBLEM = problem("bad_value", "nothing of it is right").problem.to_wire()


@pytest.mark.parametrize(
    ("envelope", "items", "instances"),
    [
        ("json", [b"photo"], [{"data": b"photo"}]),
        ("json", [{"data": "x", "top_k": 2}, "y"], [{"data": "x", "top_k": 2}, {"data": "y"}]),
        ("kserve", [], []),
        ("kserve", None, None),
        (
            "kservev2",
            [{"name": "in", "shape": [1], "datatype": "BYTES", "data": "x"}, {"name": "nothing"}],
            [{"data": "x"}, {"data": None}],
        ),
    ],
)
def test_items_are_read_as_instances(
    envelope: str, items: Sequence[object] | None, instances: object
) -> None:
    assert rows_of(items, envelope) == [{"body": {"instances": instances}}]


def test_bodies_are_rows_again_and_without_an_envelope_rows_stay() -> None:
    assert rows_of([b"photo", {"describe": True}, None], "body") == [
        {"body": b"photo"},
        {"body": {"describe": True}},
        {},
    ]
    rows = [{"data": b"photo", "top_k": b"2"}, {}]
    assert rows_of(rows, None) is rows


@pytest.mark.parametrize("name", ["predictions", "explanations"])
def test_there_is_one_value_an_item(name: str) -> None:
    values = [{"disc": 0.75}, PROBLEM]
    assert as_values(write_json({name: values}), 2, 10_000) == values


def test_what_is_wrong_with_all_is_said_of_each() -> None:
    assert as_values(write_json(PROBLEM), 3, 10_000) == [PROBLEM] * 3


def test_no_more_is_handed_to_an_envelope_than_it_may_answer() -> None:
    values = [{"logits": [0.5] * 100}] * 2
    written = len(json.dumps(values, indent=2))
    reply = write_json({"predictions": values})
    assert len(reply) < written / 2
    assert as_values(reply, 2, written) == values
    first, second = as_values(reply, 2, written - 1)
    assert first == second
    assert first["code"] == 413
    assert "fewer instances" in first["hint"]
