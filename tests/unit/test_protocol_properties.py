"""Whatever comes in place of a request is a request or a problem, and never an error."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol import (
    KEYS,
    ProblemError,
    Request,
    read_form_value,
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
