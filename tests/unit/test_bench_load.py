"""What scripts/bench load counts, and what it takes for a right answer."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
from tests.bench.load.asks import (
    BAD,
    EXPLANATION,
    PREDICTION,
    SHARES,
    Answer,
    Ask,
    Check,
    bad_requests,
    class_is,
    explains,
    mixed,
    refuses,
)
from tests.bench.load.crowd import QUEUE_FULL, judged
from tests.bench.load.memory import growth
from tests.bench.load.tally import Outcome, Tally

from servelens.codec import JSON_TYPE, NPZ_TYPE, pack_json, pack_npz, write_json, write_npz

LABEL, SHAPE = "disc", (7, 7)


def document(
    label: str = LABEL, shape: tuple[int, ...] = SHAPE, level: float = 1.0
) -> dict[str, Any]:
    return {
        "predictions": [{"label": label}],
        "attributions": [{"map": np.full(shape, level, np.float32)}],
    }


def as_json(value: object, status: int = 200) -> Answer:
    return Answer(status, JSON_TYPE, json.dumps(value).encode())


def ask(check: Check) -> Ask:
    return Ask(PREDICTION, "/predictions/m", {}, b"", check)


def test_a_prediction_is_right_by_its_class() -> None:
    right = ask(class_is(LABEL))
    assert judged(right, as_json({"ring": 0.2, LABEL: 0.8})) == ""
    assert judged(right, as_json({"ring": 0.8, LABEL: 0.2})) == "another class"
    assert judged(right, as_json({"message": "Worker died."}, 507)).startswith("507 ")
    assert judged(right, Answer(200, JSON_TYPE, b"{")).startswith("200 that cannot be read")
    assert judged(right, as_json({})).startswith("200 that cannot be read")


def sent(told: dict[str, Any], kind: str) -> Answer:
    body = write_json(pack_json(told)) if kind == JSON_TYPE else write_npz(*pack_npz(told))
    return Answer(200, kind, body)


@pytest.mark.parametrize("kind", [JSON_TYPE, NPZ_TYPE])
def test_an_explanation_is_right_by_its_class_and_its_maps(kind: str) -> None:
    right = ask(explains(LABEL, [SHAPE]))
    assert judged(right, sent(document(), kind)) == ""
    for wrong, said in (
        (document(label="ring"), "another class"),
        (document(shape=(8, 8)), "maps of other shapes"),
        (document(level=0), "a map that shows nothing"),
    ):
        assert judged(right, sent(wrong, kind)) == said
    without = {**document(), "attributions": [{"map": None}]}
    assert judged(right, sent(without, kind)) == "maps of other shapes"


def test_a_bad_request_is_answered_rightly_by_its_status_and_problem() -> None:
    right = ask(refuses(400, "bad_image"))
    assert judged(right, as_json({"type": "bad_image"}, 400)) == ""
    assert judged(right, as_json({"type": "bad_value"}, 400)) == "400 bad_value"
    assert judged(right, as_json({LABEL: 1.0})).startswith("200 ")


def test_a_full_queue_is_known_by_torchserves_sentence() -> None:
    said = {"message": 'Model "m" has no worker to serve inference request.'}
    assert judged(ask(class_is(LABEL)), as_json(said, 503)) == QUEUE_FULL
    failed = judged(ask(class_is(LABEL)), as_json({"message": "Prediction failed"}, 503))
    assert failed.startswith("503 ")
    assert failed != QUEUE_FULL


def test_the_mix_has_its_shares_and_is_the_same_again() -> None:
    asks = {kind: [Ask(kind, "", {}, b"", lambda _: None)] for kind in SHARES}
    drawn = [one.kind for one in islice(mixed(asks, 1), 2000)]
    assert drawn == [one.kind for one in islice(mixed(asks, 1), 2000)]
    counted = Counter(drawn)
    for kind, share in SHARES.items():
        assert counted[kind] / 20 == pytest.approx(share, abs=4)
    alone = {PREDICTION: asks[PREDICTION]}
    assert {one.kind for one in islice(mixed(alone, 0), 50)} == {PREDICTION}


def test_a_number_that_is_none_is_among_the_bad_requests() -> None:
    bodies = [json.loads(one.body) for one in bad_requests("m") if one.body[:1] == b"{"]
    assert [math.isnan(body["budget_ms"]) for body in bodies] == [True]


def test_outcomes_are_counted_by_kind_and_by_name() -> None:
    outcomes = [Outcome(PREDICTION, ms / 1000) for ms in range(101)]
    outcomes += [Outcome(PREDICTION, 9.0, "507 Worker died."), Outcome(BAD, 2.0, QUEUE_FULL)]
    tally = Tally(outcomes, seconds=10.0, busy=0.1)
    assert (len(tally), tally.rate) == (103, 10.3)
    assert tally.of(PREDICTION).latency == "50 / 95 / 99"
    assert tally.named == f"1 × 507 Worker died.; 1 × {QUEUE_FULL}"
    assert tally.of(PREDICTION).complaints == {"507 Worker died.": 1}
    assert tally.without(lambda complaint: complaint == QUEUE_FULL).complaints.total() == 1
    assert math.isnan(tally.of(EXPLANATION).percentile(50))


def test_growth_is_that_of_a_straight_line_after_the_settling() -> None:
    times = [float(second) for second in range(100)]
    sizes = [500.0 + second for second in range(20)] + [600 + 0.5 * second for second in range(80)]
    start, grown = growth(times, sizes)
    assert (start, grown) == (pytest.approx(600), pytest.approx(0.5 * 79))
    assert all(math.isnan(number) for number in growth([0.0], [500.0]))
