"""Which rows of an instrumented archive are the lens's: none that somebody's old caller sends."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol.keys import KEY_BY_NAME
from servelens.torchserve.sorting import ASKING, asks_lens

PNG = b"\x89PNG\r\n\x1a\n explain activations"
TEXT = base64.b64encode(PNG).decode()
JSON = {"content-type": "application/json"}
REST = {"explain": "False", "Host": "127.0.0.1"}


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "row",
    [
        {"data": PNG, "explain": b"grad_cam"},
        {"data": PNG, "activations": b"true"},
        {"image": PNG, "describe": b"true"},
        {"describe": b"true"},
        {"weights": b"conv1"},
        {"data": PNG, "explain": b"false"},
        {"body": {"image": TEXT, "explain": True}},
        {"body": {"instances": [{"b64": TEXT, "explain": "saliency"}, {"b64": TEXT}]}},
        {"body": {"instances": [{"b64": TEXT}], "explain": "saliency"}},
        {"body": as_bytes({"image": TEXT, "explain": True})},
        {"data": as_bytes({"image": TEXT, "explain": True})},
        {"body": b'{"explain": true, "explain": false}'},
    ],
)
def test_what_names_a_question_is_the_lens_s(row: Any) -> None:
    assert asks_lens(row, REST)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"body": PNG},
        {"data": PNG},
        {"data": PNG, "target": b"3", "top_k": b"2", "id": b"7", "mask": PNG, "seed": b"1"},
        {"data": PNG, "theirs": b"explain"},
        {"body": TEXT},
        {"body": "explain"},
        {"body": b"explain=true"},
        {"body": [1.0, 2.0]},
        {"body": {"instances": [{"b64": TEXT}]}},
        {"body": {"instances": "explain"}},
        {"body": {"instances": [["explain"], "explain", None]}},
        {"body": {"theirs": {"explain": True}}},
        {"body": b'{"explain": '},
        {"body": b'{"a": ' * 100_000 + b'"explain"'},
        {"body": b'["explain"]'},
        {"body": b'{"theirs": "explain", "theirs": 1}'},
        {"body": b"{\xff explain"},
        PNG,
        None,
        17,
    ],
)
def test_all_else_is_its_own_handlers(row: Any) -> None:
    assert not asks_lens(row, REST)


def test_the_explanations_door_is_the_lens_s_whatever_comes() -> None:
    for row in ({"body": PNG}, {}, {"body": b"no picture"}):
        assert asks_lens(row, {**REST, "explain": "True"})


def test_a_description_is_asked_for_without_fields() -> None:
    """By GET /models/m?customized=true; a client's header of that name is no question of ours."""
    assert asks_lens({}, {**REST, "describe": "True"})
    assert not asks_lens({"body": PNG}, {**REST, "describe": "True"})


def test_what_asks_is_of_the_protocol() -> None:
    assert set(KEY_BY_NAME) > ASKING


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(ANYTHING, st.dictionaries(st.text(max_size=5), st.text()))
def test_no_row_whatsoever_raises(row: Any, headers: dict[str, Any]) -> None:
    assert asks_lens(row, headers) in (True, False)
    assert asks_lens({"body": row}, headers) in (True, False)
