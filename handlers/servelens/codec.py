"""Documents as bytes: tensors and pictures as base64 inside JSON, or as plain arrays in an npz.

Packing is separate from writing because a document says how long its own packing took.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Dict, Mapping, Union

import numpy as np

from servelens.protocol import to_wire

JSON_TYPE = "application/json"
NPZ_TYPE = "application/x-npz"
STREAM_TYPE = "application/x-ndjson"

# float16 keeps three digits from its smallest normal number to its largest; outside it does not.
HALF_RANGE = (6.2e-5, 65504.0)


def pack_json(document: Any, dtype: str = "auto") -> Any:
    """The document as JSON values, each tensor an object with its bytes in base64."""

    def pack(value: Union[np.ndarray, bytes], path: str) -> Any:
        if isinstance(value, bytes):
            return _base64(value)
        return {**_describe(value, dtype), "data": _base64(_wire_array(value, dtype).tobytes())}

    return _replace_binary(to_wire(document), pack, "")


def pack_npz(document: Any, dtype: str = "auto") -> tuple[Any, Dict[str, np.ndarray]]:
    """The document with each tensor and picture named, and the arrays under those names."""
    arrays: Dict[str, np.ndarray] = {}

    def pack(value: Union[np.ndarray, bytes], path: str) -> Any:
        if isinstance(value, bytes):
            arrays[path] = np.frombuffer(value, dtype=np.uint8)
            return {"array": path}
        arrays[path] = _wire_array(value, dtype)
        return {**_describe(value, dtype), "array": path}

    return _replace_binary(to_wire(document), pack, ""), arrays


def write_json(packed: Any) -> bytes:
    """A lone surrogate, as a broken label may hold, is no UTF-8: it stays JSON's escape."""
    text = json.dumps(packed, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def write_npz(packed: Any, arrays: Mapping[str, np.ndarray]) -> bytes:
    members: Dict[str, Any] = {
        "document": np.frombuffer(write_json(packed), dtype=np.uint8),
        **arrays,
    }
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def read_json(body: bytes) -> Any:
    """The document with its tensors as float32 arrays; pictures are base64, by either way."""
    return _restore(json.loads(body), {})


def read_npz(body: bytes) -> Any:
    with np.load(io.BytesIO(body), allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    return _restore(json.loads(arrays.pop("document").tobytes()), arrays)


def packed_size(shape: tuple[int, ...], itemsize: int, encoding: str) -> int:
    """Bytes that a tensor of this shape takes in an answer, its description included."""
    raw = int(np.prod(shape)) * itemsize
    return raw + 512 if encoding == "npz" else (raw + 2) // 3 * 4 + 256


def wire_dtype(array: np.ndarray, dtype: str) -> np.dtype[Any]:
    if dtype == "float32":
        return np.dtype("<f4")
    # An integer's absolute value may be too large for its own type.
    largest = max(-float(array.min()), float(array.max())) if array.size else 0.0
    fits = largest == 0.0 or HALF_RANGE[0] <= largest <= HALF_RANGE[1]
    return np.dtype("<f2") if fits else np.dtype("<f4")


def _wire_array(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(array, dtype=wire_dtype(array, dtype), order="C")


def _describe(array: np.ndarray, dtype: str) -> Dict[str, Any]:
    return {
        "dtype": wire_dtype(array, dtype).name,
        "shape": list(array.shape),
        "min": float(array.min()) if array.size else 0.0,
        "max": float(array.max()) if array.size else 0.0,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _replace_binary(value: Any, pack: Any, path: str) -> Any:
    if isinstance(value, (np.ndarray, bytes)):
        return pack(value, path)
    if isinstance(value, dict):
        return {k: _replace_binary(v, pack, f"{path}/{k}" if path else k) for k, v in value.items()}
    if isinstance(value, list):
        return [_replace_binary(v, pack, f"{path}/{i}") for i, v in enumerate(value)]
    return value


def _restore(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if {"dtype", "shape", "min", "max"} <= value.keys():
            return _restore_tensor(value, arrays)
        if value.keys() == {"array"}:
            return _base64(arrays[value["array"]].tobytes())
        return {key: _restore(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_restore(item, arrays) for item in value]
    return value


def _restore_tensor(packed: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if "array" in packed:
        return arrays[packed["array"]].astype(np.float32)
    dtype = np.dtype(packed["dtype"]).newbyteorder("<")
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=dtype)
    return flat.reshape(packed["shape"]).astype(np.float32)
