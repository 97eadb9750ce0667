"""Whatever a server answers, a client gets a document or a BadAnswer, and nothing else."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from servelens import codec
from servelens.client.errors import BadAnswer
from servelens.client.messages import read_answer, read_frame

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]

MANY = 10 * settings().max_examples
DOCUMENT = {
    "lens": 1,
    "predictions": [{"index": 3, "label": "disc", "probability": 0.5}],
    "attributions": [{"method": "grad_cam", "map": np.eye(3, dtype=np.float32)}],
}
WHOLE = {
    codec.JSON_TYPE: codec.write_json(codec.pack_json(DOCUMENT)),
    codec.NPZ_TYPE: codec.write_npz(*codec.pack_npz(DOCUMENT)),
}


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """One of the documents with some of its bytes changed, doubled or gone; of either type."""
    whole = draw(st.sampled_from([*WHOLE.values(), b""]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(whole)))
        end = at + draw(st.sampled_from([0, 1, 2, 8, len(whole)]))
        whole = whole[:at] + draw(st.binary(max_size=4)) + whole[end:]
    return draw(st.sampled_from([*WHOLE])), whole


@settings(max_examples=MANY)
@given(spoiled())
def test_an_answer_is_a_document_or_a_bad_answer(came: tuple[str, bytes]) -> None:
    kind, body = came
    with suppress(BadAnswer):
        check_numbers(read_answer(answer(kind, body)))
    with suppress(BadAnswer):
        check_numbers(read_frame(body))


def answer(kind: str, body: bytes) -> requests.Response:
    made = requests.Response()
    made.url, made.raw = "http://127.0.0.1:8080/predictions/m", io.BytesIO(body)
    made.headers["Content-Type"] = kind
    return made


def check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            check_numbers(item)
    elif isinstance(value, np.ndarray):
        assert np.isfinite(value).all()
    elif isinstance(value, float):
        assert np.isfinite(value)
