"""Whatever comes in place of a request is a request or a problem, and never an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol import (
    KEYS,
    ProblemError,
    Request,
    read_form_value,
    read_json,
    read_request,
    shorten,
)


def test_a_form_field_that_nests_too_deeply_is_text() -> None:
    assert read_form_value("target", "[" * 200_000) == "[" * 200_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
key_names = st.sampled_from([key.name for key in KEYS])


@pytest.mark.slow
@given(st.dictionaries(key_names | st.text(), json_values, max_size=4), st.booleans())
def test_no_json_object_brings_anything_but_a_request_or_a_problem(
    values: dict[str, Any], explains: bool
) -> None:
    try:
        assert isinstance(read_request(values, None, explain_by_default=explains), Request)
    except ProblemError as error:
        assert error.problem.code == 400
        assert len(str(error.problem.to_wire())) < 5000


@given(key_names | st.text(), st.text())
def test_no_form_field_brings_anything_but_a_request_or_a_problem(name: str, text: str) -> None:
    try:
        read_request({name: read_form_value(name, text)}, None)
    except ProblemError as error:
        assert error.problem.code == 400


class Members(list[tuple[str, Any]]):
    """A JSON object as it is written, where a key may stand twice."""


def written(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ", ".join(f"{json.dumps(name)}: {written(of)}" for name, of in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def has_a_key_twice(value: Any) -> bool:
    if isinstance(value, Members):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(has_a_key_twice(inner) for _, inner in value)
    return isinstance(value, list) and any(map(has_a_key_twice, value))


objects_as_written = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=3).map(Members)
    ),
    max_leaves=12,
)


@given(objects_as_written)
def test_json_is_refused_where_a_key_stands_twice_and_only_there(value: Any) -> None:
    text = written(value)
    if has_a_key_twice(value):
        with pytest.raises(ProblemError, match="stands more than once"):
            read_json(text)
    else:
        assert read_json(text) == json.loads(text)


@given(json_values)
def test_a_shortened_value_is_one_printable_line(value: Any) -> None:
    text = shorten(value)
    assert len(text) <= 60
    assert text.isprintable()


def test_a_huge_value_is_shortened_by_looking_at_its_beginning() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shorten(deep) == "[[[[...]]]]"
    assert shorten(10**5000) == "an integer of 16610 bits"
    assert shorten({"a": [1, {"b": "c" * 10**7}]}).startswith("{'a': [1, {'b': 'ccc")
