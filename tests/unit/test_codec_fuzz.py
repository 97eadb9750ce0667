"""Whatever a document holds, it is written as what can be read, and comes back as it was."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from servelens import codec

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]

MANY = 10 * settings().max_examples
DTYPES = st.sampled_from(["<f2", "<f4", "<f8", ">f4", "<i8", "u1", "?"])
LARGEST = np.finfo(np.float32).max
ARRAYS = npst.arrays(
    DTYPES, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
).filter(lambda array: bool(np.abs(array.astype(np.float64)).max(initial=0.0) <= LARGEST))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | ARRAYS
    | ARRAYS.map(np.transpose)
    | st.binary(max_size=9)
)
# A document's keys are ours; what callers and models name are its values.
KEYS = st.sampled_from(["id", "map", "label", "attributions", "channels"])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=MANY)
@given(DOCUMENTS, st.sampled_from(["auto", "float32"]))
def test_a_document_comes_back_from_json(document: Any, dtype: str) -> None:
    body = codec.write_json(codec.pack_json(document, dtype))
    assert json.loads(body) is not None
    assert_came_back(codec.read_json(body), document)


@settings(max_examples=MANY)
@given(DOCUMENTS, st.sampled_from(["auto", "float32"]))
def test_a_document_comes_back_from_npz(document: Any, dtype: str) -> None:
    body = codec.write_npz(*codec.pack_npz(document, dtype))
    assert_came_back(codec.read_npz(body), document)


def assert_came_back(got: Any, sent: Any) -> None:
    if isinstance(sent, np.ndarray):
        assert (got.shape, got.dtype) == (sent.shape, np.float32)
        largest = np.abs(sent.astype("f4")).max(initial=0.0)
        assert np.all(np.abs(got - sent.astype("f4")) <= largest / 1000)
    elif isinstance(sent, dict):
        assert got.keys() == sent.keys()
        for key, value in sent.items():
            assert_came_back(got[key], value)
    elif isinstance(sent, list):
        assert len(got) == len(sent)
        for ours, theirs in zip(got, sent, strict=True):
            assert_came_back(ours, theirs)
    elif not isinstance(sent, bytes):
        assert got == sent
