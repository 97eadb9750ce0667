"""Service envelopes, which a server puts around its handlers where config.properties names one.

An envelope takes the items out of what a caller sent, hands them on as if each were a row, and
makes one body of what is returned for them. So an archive's items are read as the instances of a
KServe body are without one, and answered by values that the envelope can write. TorchServe's
fourth, `body`, only takes a row's one value out of it.
"""

from __future__ import annotations

import json
import sys
from typing import Any, List, Mapping, Optional, Sequence

from servelens.engine.budget import check_size
from servelens.protocol import ProblemError
from servelens.torchserve.replies import FEWER_INSTANCES
from servelens.torchserve.rows import LISTED

BODY = "body"
LISTING = ("json", "kserve", "kservev2")
ENVELOPES = "ts.torch_handler.request_envelope."
THEIR_BASE = "base"


def envelope_in_use() -> Optional[str]:
    """The service envelope around the worker's handler, of which no context tells. TorchServe loads
    the one it was asked for just before it has the handler load its model, and no other."""
    loaded = (name[len(ENVELOPES) :] for name in sys.modules if name.startswith(ENVELOPES))
    return next((name for name in loaded if name != THEIR_BASE), None)


def rows_of(items: Optional[Sequence[Any]], envelope: Optional[str]) -> Sequence[Any]:
    """The rows that callers without an envelope would have sent; no items at all are what a body
    without a list of them comes to."""
    if envelope == BODY:
        return [{} if item is None else {"body": item} for item in items or ()]
    if envelope in LISTING:
        listed = None if items is None else [_instance(item, envelope) for item in items]
        return [{"body": {"instances": listed}}]
    return items or ()


def _instance(item: Any, envelope: Optional[str]) -> Any:
    if not isinstance(item, Mapping):
        return {"data": item}
    # A name, a shape and a kind of number are said of every tensor of KServe's second version.
    return {"data": item.get("data")} if envelope == "kservev2" else item


def as_values(reply: bytes, items: int, most_bytes: int) -> List[Any]:
    """One value an item. What is wrong with all of them is said of each, and so is that they are
    more than fits: envelopes write them with room between them."""
    told = json.loads(reply)
    values = next((told[name] for name in LISTED if name in told), [told] * items)
    try:
        check_size(len(json.dumps(values, indent=2)), most_bytes, FEWER_INSTANCES)
    except ProblemError as error:
        return [error.problem.to_wire()] * items
    return values
