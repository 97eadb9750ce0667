"""Documents there and back, in both of their encodings."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from servelens import codec

SMALLEST, LARGEST = 6.2e-5, 65504.0

arrays = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def array(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def json_there_and_back(document: Any, dtype: str = "auto") -> Any:
    return codec.read_json(codec.write_json(codec.pack_json(document, dtype)))


def npz_there_and_back(document: Any, dtype: str = "auto") -> Any:
    return codec.read_npz(codec.write_npz(*codec.pack_npz(document, dtype)))


BOTH = pytest.mark.parametrize("there_and_back", [json_there_and_back, npz_there_and_back])


@BOTH
@given(values=arrays)
def test_float32_comes_back_to_the_bit(there_and_back: Any, values: NDArray[Any]) -> None:
    back = there_and_back({"map": values}, "float32")["map"]
    assert back.dtype == np.float32
    assert back.shape == values.shape
    assert back.tobytes() == values.tobytes()


@BOTH
@given(values=arrays)
def test_auto_keeps_three_digits_of_the_largest(there_and_back: Any, values: NDArray[Any]) -> None:
    back = there_and_back({"map": values})["map"]
    largest = np.abs(values).max(initial=0.0)
    assert back.dtype == np.float32
    assert back.shape == values.shape
    assert np.all(np.abs(back - values) <= largest / 1000)


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        (0.0, "float16"),
        (-0.0, "float16"),
        (SMALLEST, "float16"),
        (np.nextafter(np.float32(SMALLEST), np.float32(0)), "float32"),
        (-1.0, "float16"),
        (LARGEST, "float16"),
        (-LARGEST, "float16"),
        (np.nextafter(np.float32(LARGEST), np.float32(1e6)), "float32"),
        (1e-16, "float32"),
        (1e9, "float32"),
    ],
)
def test_half_precision_is_taken_where_the_largest_magnitude_fits(
    largest: float, dtype: str
) -> None:
    # The magnitude counts, so that smaller values of the other sign change nothing.
    packed = codec.pack_json({"map": np.array([largest, -largest / 2])})["map"]
    assert packed["dtype"] == dtype
    assert codec.pack_json({"map": np.array([largest])}, "float32")["map"]["dtype"] == "float32"


def test_the_largest_half_is_no_infinity() -> None:
    assert json_there_and_back({"map": array(LARGEST)})["map"].tolist() == [LARGEST]


@BOTH
def test_an_all_zero_map_stays_all_zero(there_and_back: Any) -> None:
    assert not there_and_back({"map": np.zeros((2, 3), np.float32)})["map"].any()


@given(values=arrays)
def test_min_and_max_are_exact(values: NDArray[Any]) -> None:
    packed = json.loads(codec.write_json(codec.pack_json({"map": values})))["map"]
    if values.size:
        assert np.float32(packed["min"]) == values.min()
        assert np.float32(packed["max"]) == values.max()
    else:
        assert (packed["min"], packed["max"]) == (0.0, 0.0)


@BOTH
@pytest.mark.parametrize("shape", [(0,), (0, 7, 7), (3, 0)])
def test_an_empty_array_keeps_its_shape(there_and_back: Any, shape: tuple[int, ...]) -> None:
    assert there_and_back({"map": np.zeros(shape, np.float32)})["map"].shape == shape


def test_a_tensor_in_json_is_its_little_endian_bytes_in_c_order() -> None:
    values = np.array([[1, 2], [3, 4]], dtype=">f4").T
    packed = codec.pack_json({"map": values}, "float32")["map"]
    assert packed["shape"] == [2, 2]
    assert base64.b64decode(packed["data"]) == struct.pack("<4f", 1, 3, 2, 4)


def test_an_npz_holds_the_document_and_its_arrays_by_their_paths() -> None:
    document = {"attributions": [{"map": array(1, 2)}], "activations": [{"maps": array(3)}]}
    body = codec.write_npz(*codec.pack_npz(document))
    with zipfile.ZipFile(io.BytesIO(body)) as members:
        assert {info.compress_type for info in members.infolist()} == {zipfile.ZIP_STORED}
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        assert set(file.files) == {"document", "attributions/0/map", "activations/0/maps"}
        assert file["document"].dtype == np.uint8
        written = json.loads(file["document"].tobytes())
    assert written["attributions"][0]["map"] == {
        "dtype": "float16", "shape": [2], "min": 1.0, "max": 2.0, "array": "attributions/0/map",
    }  # fmt: skip


@given(values=arrays)
@pytest.mark.parametrize("encoding", ["json", "npz"])
def test_the_size_that_is_reckoned_is_never_too_small(encoding: str, values: NDArray[Any]) -> None:
    with_map, without = {"map": values}, {"map": None}
    if encoding == "json":
        sizes = [len(codec.write_json(codec.pack_json(d))) for d in (with_map, without)]
    else:
        sizes = [len(codec.write_npz(*codec.pack_npz(d))) for d in (with_map, without)]
    itemsize = codec.wire_dtype(values, "auto").itemsize
    assert sizes[0] - sizes[1] <= codec.packed_size(values.shape, itemsize, encoding)


@pytest.mark.parametrize("text", ["журавль", "鶴", "\ud800", "a\r\n\x00b", '"\\'])
def test_any_text_is_written_as_utf_8_and_comes_back(text: str) -> None:
    body = codec.write_json({"id": text})
    body.decode("utf-8")
    assert codec.read_json(body) == {"id": text}


def test_what_is_not_finite_is_refused_rather_than_written_as_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.write_json({"min": float("nan")})
