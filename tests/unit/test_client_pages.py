"""Pages of activations put together, and pages that are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from client_fixtures.documents import activation, document
from engine_fixtures.sessions import document as answer_of
from engine_fixtures.sessions import open_session, seeded
from tiny_net import TinyNet

from servelens.client import BadAnswer
from servelens.client.pages import complete
from servelens.client.results import Result
from servelens.engine.budget import Limits
from servelens.engine.session import Session
from servelens.protocol import to_wire

MAPS = np.arange(7 * 4, dtype=np.float32).reshape(7, 2, 2)


def page(channels: list[int], rest: list[int], **changed: Any) -> dict[str, Any]:
    return activation(
        channels=[{"index": c, "mean": float(MAPS[c].mean())} for c in channels],
        maps=MAPS[channels],
        next={"channels": rest} if rest else None,
        **changed,
    )


def honest(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Two channels a page."""
    asked = list(wanted["channels"])
    return document(activations=[page(asked[:2], asked[2:], statistics=None)])


def test_pages_together_are_as_if_there_had_been_room() -> None:
    order = [3, 1, 6, 0, 5, 2, 4]
    first = document(activations=[page(order[:2], order[2:]), page([0, 1], [])])
    asked: list[Mapping[str, Any]] = []

    def ask(wanted: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(wanted)
        return honest(wanted)

    whole = complete(first, ask)
    entry, untouched = whole["activations"]
    assert [channel["index"] for channel in entry["channels"]] == order
    np.testing.assert_array_equal(entry["maps"], MAPS[order])
    assert entry["next"] is None
    assert entry["statistics"] == first["activations"][0]["statistics"]
    assert [len(wanted["channels"]) for wanted in asked] == [5, 3, 1]
    assert all(wanted["layers"] == ["stem"] for wanted in asked)
    assert len(untouched["channels"]) == 2
    assert not Result.of(whole).activations[0].next


def test_where_no_maps_were_asked_none_are_asked_of_the_next_page() -> None:
    first = document(activations=[{**page([0], [1]), "maps": None}])

    def ask(wanted: Mapping[str, Any]) -> dict[str, Any]:
        assert wanted["maps"] is False
        return document(activations=[{**page([1], []), "maps": None}])

    (entry,) = complete(first, ask)["activations"]
    assert entry["maps"] is None
    assert [channel["index"] for channel in entry["channels"]] == [0, 1]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [page([1], []), page([1], [])],
        [page([1], [], layer="block")],
        [page([2], [])],
        [page([], [1])],
        [page([1], [5])],
        [page([1, 2], [])],
        [{**page([1], []), "maps": None}],
        [{**page([1], []), "maps": MAPS[[1], :1]}],
        [{**page([1], []), "maps": MAPS[[1, 2]]}],
    ],
)  # fmt: skip
def test_a_page_that_is_not_the_one_that_was_asked_for_is_a_bad_answer(answer: Any) -> None:
    first = document(activations=[page([0], [1])])
    with pytest.raises(BadAnswer, match="page"):
        complete(first, lambda wanted: document(activations=answer))


@pytest.mark.parametrize("order", ["activation", "random"])
def test_the_engines_own_pages_are_what_it_gives_where_there_is_room(order: str) -> None:
    wanted = {"layers": ["*"], "channels": "all", "sort_by": order}
    module = seeded(TinyNet)
    roomy = open_session(module)
    narrow = open_session(module, limits=Limits(response_bytes=20_000))

    def ask(session: Session, activations: Any) -> Any:
        return to_wire(answer_of(session, activations=activations, format="npz"))

    first = ask(narrow, wanted)
    assert sum(bool(entry["next"]) for entry in first["activations"]) > 2
    whole = complete(first, lambda more: ask(narrow, more))
    for ours, theirs in zip(whole["activations"], ask(roomy, wanted)["activations"], strict=True):
        assert [c["index"] for c in ours["channels"]] == [c["index"] for c in theirs["channels"]]
        np.testing.assert_allclose(ours["maps"], theirs["maps"], rtol=1e-5, atol=1e-6)
        assert ours["statistics"] == theirs["statistics"]
