"""What holds more than any request is refused before it is read; what is merely large is taken."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol import Problem
from servelens.protocol.extent import MOST_VALUES, marks_in, values_in
from servelens.torchserve.rows import MOST_INSTANCES, Question, read_row
from servelens.torchserve.sorting import asks_lens

PREDICT = {"Host": "localhost", "explain": "False"}
PNG = b"\x89PNG\r\n\x1a\n not really"
PNG64 = base64.b64encode(PNG).decode()
LISTED = 4096
OBJECTS = 5_000_000  # some sixteen megabytes, the most that a server lets through


def only(row: Any) -> Any:
    (part,) = read_row(row, PREDICT).parts
    return part


def refused(row: Any) -> Problem:
    part = only(row)
    assert isinstance(part, Problem), part
    assert part.code == 400
    assert "more than 100,000 values, or commas and brackets in text" in part.message
    assert len(part.message) < 200
    return part


def nested() -> Any:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )


@pytest.mark.slow
@given(nested())
def test_each_value_but_the_first_stands_behind_a_mark(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value).encode()):
        assert number_of(value) <= marks_in(text) + 1
    assert number_of(value) <= values_in(value)
    assert values_in(json.dumps(value)) == marks_in(json.dumps(value)) + 1


def number_of(value: Any) -> int:
    """The plain way."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(number_of, inner))


HOSTILE = {
    "objects": b"[" + b"{}," * OBJECTS + b"{}]",
    "lists": b'{"a":[' + b"[]," * OBJECTS + b"[]]}",
    "numbers": b'{"explain":[' + b"0," * (MOST_VALUES + 1) + b"0]}",
    "keys": b'{"a":0' + b',"a":0' * (MOST_VALUES + 1) + b"}",
    "one that has no end": b"[" * (MOST_VALUES + 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_that_would_take_seconds_is_not_parsed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_: Any, **__: Any) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("servelens.protocol.texts.json.loads", parse)
    body = HOSTILE[kind]
    assert refused({"body": body}).type == "bad_json"
    assert refused({"body": bytearray(body)}).type == "bad_json"
    assert refused({"body": body.decode()}).type == "bad_value"
    assert refused({"data": PNG, "explain": body}).type == "bad_value"
    assert not asks_lens({"body": b'{"explain":' + body}, PREDICT)


def test_many_fields_of_a_form_are_counted_together() -> None:
    field = b"[" + b"0," * (MOST_VALUES // 4) + b"0]"
    names = ("explain", "target", "activations", "weights")
    assert refused({"data": PNG, **dict.fromkeys(names, field)}).type == "bad_value"
    (alone,) = read_row({"data": PNG, "explain": field}, PREDICT).parts
    assert isinstance(alone, Problem)
    assert "explain must be" in alone.message
    assert refused({f"field {i}": b"" for i in range(MOST_VALUES)})


@pytest.mark.parametrize(
    "body",
    [
        [{}] * MOST_VALUES,
        {"explain": {"method": "saliency", **dict.fromkeys(map(str, range(MOST_VALUES)))}},
        {"explain": [{"method": "saliency", "layers": ["a"] * LISTED}] * LISTED},
        {"explain": "saliency," * MOST_VALUES},
        {"instances": [{"b64": PNG64, "target": [0] * LISTED}] * MOST_INSTANCES},
        {"instances": [{"b64": PNG64}] * MOST_INSTANCES, "target": [0] * LISTED},
    ],
    ids=["a list", "parameters", "lists of lists", "a text", "instances", "beside instances"],
)
def test_what_torchserve_has_parsed_is_counted_before_it_is_read(body: Any) -> None:
    assert refused({"body": body}).type == "bad_value"


def test_counting_comes_to_an_end_where_a_value_has_none() -> None:
    endless: list[Any] = []
    endless.append(endless)
    laughs: list[Any] = [0] * 10
    for _ in range(30):
        laughs = [laughs] * 10
    for value in (endless, laughs):
        assert values_in(value) > MOST_VALUES


# All lists full at once, and each of their items as long as it is usually written.
FULLEST = {
    "image": PNG64,
    "target": [{"class": i, "versus": 0} for i in range(LISTED)],
    "explain": [{"method": "grad_cam", "layer": "layer4", "target": i} for i in range(LISTED)],
    "activations": {"layers": ["layer1"] * LISTED, "channels": list(range(LISTED))},
    "ablate": [{"layer": "layer1", "channels": [i], "mode": "zero"} for i in range(LISTED)],
    "weights": ["layer1"] * LISTED,
}


@pytest.mark.slow
def test_no_list_that_may_be_sent_is_too_long() -> None:
    as_text = {name: json.dumps(value).encode() for name, value in FULLEST.items()}
    shapes = (
        {"body": FULLEST},
        {"body": json.dumps(FULLEST).encode()},
        {**as_text, "image": PNG64},
        {"body": {"instances": [FULLEST]}},
    )
    for row in shapes:
        part = only(row)
        assert isinstance(part, Question), part
        assert part.request.image == PNG
        assert len(part.request.explain or ()) == LISTED


@pytest.mark.slow
def test_a_photo_of_any_size_is_one_value() -> None:
    """Twelve megabytes of all bytes there are: sixteen in base64, without a mark."""
    photo = PNG + bytes(range(256)) * 47_000
    text = base64.b64encode(photo).decode()
    body = {"image": f"data:image/png;base64,{text}", "top_k": 1}
    for row in (
        {"body": photo},
        {"data": photo, "top_k": b"1"},
        {"body": text},
        {"body": body},
        {"body": json.dumps(body).encode()},
        {"body": {"instances": [body]}},
        {"data": PNG, "mask": photo, "top_k": b"1"},
        {"data": PNG, "mask": text.encode(), "top_k": b"1"},
    ):
        part = only(row)
        assert isinstance(part, Question), part
        assert photo in (part.request.image, getattr(part.request.mask, "data", None))
