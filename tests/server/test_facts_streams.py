"""Streams: frames keep a long job's worker alive, and closing one's end does no harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from lens_caller import TELLTALES, Call, Lens, assert_same, form, raw
from lens_fixtures import TOUCHY_TIMEOUT_S
from lens_pictures import photo, plain

from servelens import codec

PHOTO, SLOW = photo(0), plain("red")
# Six backward passes and one forward, in each of which a red photo makes the model sleep 0.6 s.
LONG = {
    "explain": "saliency",
    "target": [0, 1, 2, *({"class": a, "versus": b} for a, b in ((0, 1), (0, 2), (1, 2)))],
}


@contextmanager
def opened(lens: Lens, call: Call, model: str) -> Iterator[requests.Response]:
    with lens.ask(call, model, stream=True) as answer:
        yield answer


def frames(answer: requests.Response) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in answer.iter_lines(chunk_size=None))


def test_a_stream_is_frames_and_last_the_document(lens: Lens) -> None:
    keys = {"explain": ["saliency", "grad_cam"], "target": [0, 3], "id": "s"}
    answer = lens.ask(form(PHOTO, stream=True, **keys))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    kinds = [line["frame"] for line in lines]
    assert kinds[0] == "progress"
    assert kinds.count("partial") == 4
    assert kinds.index("document") == len(kinds) - 1
    document, alone = lens.read_document(answer), lens.document(form(PHOTO, **keys))
    assert_same(document | {"cost": 0}, alone | {"cost": 0}, "document")
    for line in lines:
        if line["frame"] == "partial":
            _, index, _ = line["path"].split("/")
            partial = codec.read_json(json.dumps(line["tensor"]).encode())
            assert_same(partial, alone["attributions"][int(index)]["map"], line["path"])


def test_frames_keep_a_job_alive_that_takes_longer_than_a_worker_may_be_silent(lens: Lens) -> None:
    """Fact 5: the timeout runs from one message to the next, and its end kills the worker."""
    started, gaps = time.monotonic(), []
    with opened(lens, form(SLOW, stream=True, **LONG), "touchy") as answer:
        last, told = started, {}
        for frame in frames(answer):
            now = time.monotonic()
            gaps.append(now - last)
            last, told = now, frame
    assert last - started > TOUCHY_TIMEOUT_S + 1, "or nothing was shown"
    assert max(gaps) < TOUCHY_TIMEOUT_S
    assert told["frame"] == "document"
    assert all(entry["map"] for entry in told["document"]["attributions"])


def test_the_archive_says_how_long_a_worker_may_be_silent(lens: Lens) -> None:
    """Fact 6: what model-config.yaml says goes before the server's own 120 s."""
    (told,) = requests.get(
        f"{lens.server.ports.url('management')}/models/touchy",
        headers=lens.server.authorization("management"),
        timeout=30,
    ).json()
    assert told["responseTimeout"] == TOUCHY_TIMEOUT_S
    limits = lens.ask(form(describe=True), "touchy").json()["limits"]
    assert limits["budget_ms"] == TOUCHY_TIMEOUT_S * 500


def test_who_hangs_up_in_mid_stream_harms_nobody(lens: Lens) -> None:
    """Fact 13: it goes unnoticed, so that the worker finishes the job and then serves the next."""
    expected = lens.bare(PHOTO, "touchy")
    with opened(lens, form(SLOW, stream=True, explain=True), "touchy") as answer:
        first = next(frames(answer))
    assert first["frame"] == "progress"
    started = time.monotonic()
    assert lens.bare(PHOTO, "touchy") == expected
    assert time.monotonic() - started > 0.6, "the job was still running"


def test_a_stream_of_a_model_that_fails_ends_with_a_problem(lens: Lens) -> None:
    with opened(lens, form(plain("white"), stream=True, explain=True), "touchy") as answer:
        *_, last = frames(answer)
    assert (answer.status_code, last["frame"]) == (200, "problem")
    lens.check("problem", last["problem"])
    assert not TELLTALES.search(json.dumps(last).encode())
    assert last["problem"]["type"] == "internal"


def test_what_is_wrong_is_said_with_a_status_before_the_first_frame(lens: Lens) -> None:
    assert lens.problem(form(b"no picture", stream=True))["code"] == 400


def test_rows_that_come_while_a_stream_runs_wait_for_its_end(lens: Lens) -> None:
    """What is slow belongs under a name of its own, see facts 13 and 22."""
    with opened(lens, form(SLOW, stream=True, explain=True), "touchy") as answer:
        next(frames(answer))
        started = time.monotonic()
        assert lens.ask(raw(PHOTO), "touchy").status_code == 200
        waited = time.monotonic() - started
    assert waited > 0.6
    started = time.monotonic()
    assert lens.ask(raw(PHOTO)).status_code == 200
    assert time.monotonic() - started < waited
