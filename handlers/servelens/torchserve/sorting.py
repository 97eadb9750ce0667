"""Which rows of an instrumented archive are for the lens; all others are its own handler's.

Whoever called the archive before must be answered as before, whatever fields their requests have.
So a row is the lens's only where it asks what no handler of old was asked: a key that names a
question. Keys that only shape an answer, like `top_k` or `id`, may be somebody's own.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from servelens.protocol import read_json
from servelens.torchserve.rows import Headers, is_json, lone_body

ASKING = frozenset(
    (
        "explain",
        "activations",
        "weights",
        "ablate",
        "rank_channels",
        "receptive_field",
        "describe",
    )
)


def asks_lens(row: Any, headers: Headers) -> bool:
    """Never raises: what cannot be read asks nothing."""
    if headers.get("explain") == "True":
        return True
    if row == {}:
        # GET /models/m?customized=true on the management port sends no fields at all.
        return headers.get("describe") == "True"
    return any(not ASKING.isdisjoint(keys) for keys in _objects(row, headers))


def _objects(row: Any, headers: Headers) -> Iterator[Mapping[Any, Any]]:
    """The row as a form, its body as a JSON object, and that one's instances."""
    row = row if isinstance(row, Mapping) else {"body": row}
    yield row
    name, body = lone_body(row)
    if name is not None and isinstance(body, (bytes, bytearray, str)):
        body = _parsed(body, headers.get(name))
    if isinstance(body, Mapping):
        yield body
        instances = body.get("instances")
        if isinstance(instances, list):
            yield from (instance for instance in instances if isinstance(instance, Mapping))


def _parsed(body: Any, typed: Any) -> Any:
    """JSON that TorchServe left alone; bytes that name no question are not even parsed."""
    text = body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)
    if not is_json(body[:64], typed) or not any(key.encode() in text for key in ASKING):
        return None
    try:
        # What stands twice is the lens's to refuse, where it names a question at all.
        return read_json(text, object_of=dict)
    except ValueError:
        return None
