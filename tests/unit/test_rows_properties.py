"""Whatever TorchServe can hand over becomes questions and problems, never an exception."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servelens.protocol import KEYS, Problem
from servelens.torchserve.replies import problem_reply
from servelens.torchserve.rows import Question, read_row

names = st.sampled_from(
    [*(key.name for key in KEYS), "image", "data", "body", "b64", "image_bytes", "instances", ""]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(), inner),
    max_leaves=15,
)
images = st.binary(min_size=1).map(base64.b64encode)
fields = (
    st.binary()
    | st.binary().map(bytearray)
    | json_values.map(lambda value: json.dumps(value).encode())
    | images
    | images.map(bytes.decode)
    | json_values
)
rows = st.dictionaries(names | st.text(), fields, max_size=5) | st.fixed_dictionaries(
    {"body": fields | st.fixed_dictionaries({"instances": st.lists(json_values)})}
)
content_types = st.sampled_from(["", "application/json", "text/plain", "image/png"])
headers = st.dictionaries(
    names | st.sampled_from(["explain", "describe", "accept", "Accept", "Host"]),
    st.sampled_from(["True", "False", "application/x-npz", "*/*", ""])
    | content_types.map(lambda kind: {"content-type": kind}),
)


@pytest.mark.slow
@settings(max_examples=600)
@given(rows | fields, headers)
def test_every_row_is_read(row: Any, given_headers: dict[str, Any]) -> None:
    question = read_row(row, given_headers)
    assert question.listed in (None, "predictions", "explanations")
    assert question.listed or len(question.parts) == 1
    for part in question.parts:
        if isinstance(part, Problem):
            assert part.code == 400
            json.loads(problem_reply(part).body)
        else:
            assert isinstance(part, Question)
            asked = part.request
            assert asked.image is not None or part.kind == "describe" or not asked.needs_image


@given(st.binary(min_size=1), st.sampled_from(["True", "False"]))
def test_bytes_are_an_image_unless_they_begin_as_json_or_a_data_url(
    body: bytes, explains: str
) -> None:
    (part,) = read_row({"body": body}, {"explain": explains}).parts
    if isinstance(part, Question):
        assert part.request.image == body or body[:5].lower() == b"data:"
    else:
        assert part.type == "bad_json" or body[:5].lower() == b"data:"
        assert body.lstrip()[:1] in (b"{", b"[", b"d", b"D")


@given(st.binary(min_size=1))
def test_base64_of_anything_is_that_again(image: bytes) -> None:
    text = base64.b64encode(image).decode()
    for row in ({"body": {"image": text}}, {"body": f"data:image/png;base64,{text}"}):
        (part,) = read_row(row, {"Host": "localhost"}).parts
        assert isinstance(part, Question)
        assert part.request.image == image
