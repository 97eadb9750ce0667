"""Rows that meet in one batch: each is answered as if it had come alone.

`rows` takes four at a time; what the same question gets alone, `tiny` tells, which serves the same
archive one row at a time.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from lens_caller import PATIENCE_S, Call, Lens, as_json, assert_same_answer, form, kserve, raw
from lens_pictures import base64_of, header_only_png, photo, plain

THREADS = 4
PHOTOS = [photo(seed) for seed in range(THREADS)]
JSON = {"Content-Type": "application/json"}
NPZ = {"Accept": "application/x-npz"}

# Of each kind one question about each photo.
KINDS: dict[str, Callable[[bytes], Call]] = {
    "bare": raw,
    "bare form": form,
    "bare json": as_json,
    "explanation": lambda image: raw(image, "explanations"),
    "grad_cam": lambda image: form(image, explain="grad_cam", target="star", id="g"),
    "saliency": lambda image: as_json(image, explain="saliency", target=[5, 0], dtype="float32"),
    "both of one": lambda image: form(image, explain=["saliency", "grad_cam"], target="top:2"),
    "versus": lambda image: form(image, explain="saliency", target={"class": 1, "versus": 3}),
    "npz": lambda image: form(image, explain="saliency", headers=NPZ),
    "activations": lambda image: form(image, activations=["stem", "last"], format="npz"),
    "relevance": lambda image: form(image, activations={"channels": 2, "sort_by": "relevance"}),
    "stream": lambda image: form(image, explain="saliency", target=[2, 3], stream=True),
    "kserve": lambda image: kserve([{"b64": base64_of(image)}, {"b64": "%"}]),
    "kserve explains": lambda image: kserve([{"image": base64_of(image)}], "explain"),
    "describe": lambda image: form(image, describe=True),
    "half a picture": lambda image: raw(image[: len(image) // 2]),
    "nothing": lambda image: raw(b""),
    "a bomb": lambda image: raw(header_only_png(90_000, 90_000)),
    "broken json": lambda image: raw(image[:50] + b"{", headers=JSON),
    "unknown layer": lambda image: form(image, activations="stam"),
    "unknown method": lambda image: form(image, explain="gradcam", stream=True),
    "no time": lambda image: form(image, explain=True, budget_ms=0),
    "unsupported": lambda image: form(image, explain={"method": "grad_cam", "layer": "head"}),
}


def alone(lens: Lens, *calls: Call) -> list[requests.Response]:
    return [lens.ask(call) for call in calls]


def test_predictions_and_explanations_in_one_batch_get_their_own_answers(lens: Lens) -> None:
    """Fact 1: the stock handler lets row 0 decide for all."""
    calls = [
        raw(PHOTOS[0], "explanations"),
        raw(PHOTOS[1]),
        form(PHOTOS[2], explain="saliency"),
        raw(PHOTOS[3]),
    ]
    for order in (calls, calls[::-1]):
        answers = lens.together("rows", *order)
        for answer, expected in zip(answers, alone(lens, *order), strict=True):
            assert_same_answer(answer, expected)


def test_a_describing_row_leaves_its_neighbours_alone(lens: Lens) -> None:
    """Fact 2: the stock code answers them all with 503."""
    spoofed = raw(PHOTOS[0], headers={"describe": "True"})
    calls = [spoofed, form(describe=True), raw(PHOTOS[1]), raw(b"", headers={"describe": "True"})]
    answers = lens.together("rows", *calls)
    for answer, expected in zip(answers, alone(lens, *calls), strict=True):
        assert_same_answer(answer, expected)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]


def test_each_row_has_a_status_of_its_own(lens: Lens) -> None:
    """Fact 7: what a handler raises is a 503 for all of them."""
    calls = [
        raw(b"no picture"),
        raw(PHOTOS[0]),
        form(PHOTOS[1], explain=True, budget_ms=0),
        form(PHOTOS[2], explain="saliency", headers=NPZ),
    ]
    answers = lens.together("rows", *calls)
    assert [answer.status_code for answer in answers] == [400, 200, 413, 200]
    kinds = [answer.headers["Content-Type"] for answer in answers]
    assert kinds == [*["application/json"] * 3, "application/x-npz"]
    assert answers[1].json() == pytest.approx(lens.bare(PHOTOS[0]), abs=1e-5)


def test_a_model_that_fails_on_one_row_answers_the_others(lens: Lens) -> None:
    """Facts 7 and 18."""
    calls = [
        raw(plain("white")),
        raw(PHOTOS[0]),
        raw(plain("blue")),
        raw(PHOTOS[1], "explanations"),
    ]
    failed, bare, greedy, explained = lens.together("touchy", *calls)
    assert lens.read_problem(failed)["type"] == "internal"
    assert lens.read_problem(greedy)["type"] == "out_of_memory"
    assert bare.json() == pytest.approx(lens.bare(PHOTOS[0], "touchy"), abs=1e-5)
    assert lens.read_document(explained)["attributions"][0]["map"].any()


def test_the_neighbours_of_a_stream_get_their_answers_when_it_begins(lens: Lens) -> None:
    """Fact 13: by itself TorchServe lets them wait for its end, here two seconds later."""
    ended: dict[int, float] = {}
    slow = form(plain("red"), explain="saliency", target=[0, 1, 2], stream=True)
    calls = [raw(PHOTOS[0]), slow, raw(PHOTOS[1], "explanations"), raw(b"no picture")]
    answers = lens.together("touchy", *(timed(call, ended, i) for i, call in enumerate(calls)))
    bare, stream, explained, wrong = answers
    assert bare.json() == pytest.approx(lens.bare(PHOTOS[0], "touchy"), abs=1e-5)
    assert lens.read_document(explained)["attributions"]
    assert wrong.status_code == 400
    assert len(lens.read_document(stream)["attributions"]) == 3
    assert all(ended[1] - ended[i] > 1.8 for i in (0, 2, 3)), "three backward passes of 0.6 s"


def timed(call: Call, ended: dict[int, float], index: int) -> Call:
    """The same call, which notes when the whole of its answer has come."""

    def note(answer: requests.Response, **_: Any) -> None:
        assert answer.content, "it is read here, all of it"
        ended[index] = time.monotonic()

    return Call(call.path, {**call.how, "hooks": {"response": note}}, call.keys)


def test_two_streams_and_their_neighbours_end_each_with_its_own(lens: Lens) -> None:
    calls = [
        form(PHOTOS[0], explain="saliency", target=[0, 1], stream=True),
        raw(PHOTOS[1]),
        form(PHOTOS[2], explain="grad_cam", stream=True),
        form(PHOTOS[3], explain="gradcam", stream=True),
    ]
    answers = lens.together("rows", *calls)
    for answer, expected in zip(answers, alone(lens, *calls), strict=True):
        assert_same_answer(answer, expected)


def test_who_hangs_up_in_mid_stream_takes_nothing_from_the_batch(lens: Lens) -> None:
    """Fact 13: the next stream of the batch begins when the forsaken one is done."""
    slow = form(plain("red"), explain="saliency", target=[0, 1], stream=True)

    def leave() -> bytes:
        with lens.ask(slow, "touchy", stream=True) as answer:
            return bytes(next(answer.iter_lines(chunk_size=None)))

    first, stream, bare = lens.meet(
        "touchy",
        leave,
        lambda: lens.ask(slow, "touchy"),
        lambda: lens.ask(raw(PHOTOS[0]), "touchy"),
    )
    assert b'"frame":"progress"' in first
    assert len(lens.read_document(stream)["attributions"]) == 2
    assert bare.json() == pytest.approx(lens.bare(PHOTOS[0], "touchy"), abs=1e-5)


def test_who_is_gone_before_the_batch_begins_takes_nothing_from_it(lens: Lens) -> None:
    def vanish() -> None:
        address = ("127.0.0.1", lens.server.ports.inference)
        key = lens.server.authorization()["Authorization"]
        head = "POST /predictions/rows HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: {key}\r\nContent-Length: {len(PHOTOS[0])}\r\n\r\n"
        with socket.create_connection(address, PATIENCE_S) as wire:
            wire.sendall(head.encode() + PHOTOS[0])

    stream = form(PHOTOS[1], explain="saliency", stream=True)
    bare = raw(PHOTOS[2])
    _, streamed, _, predicted = lens.meet(
        "rows", vanish, lambda: lens.ask(stream, "rows"), vanish, lambda: lens.ask(bare, "rows")
    )
    for answer, expected in zip((streamed, predicted), alone(lens, stream, bare), strict=True):
        assert_same_answer(answer, expected)


def test_a_batch_under_fire_answers_every_row_as_if_it_were_alone(lens: Lens) -> None:
    """Four callers at once, each with all kinds of questions in an order of its own."""
    questions = [(kind, number) for kind in KINDS for number in range(len(PHOTOS))]
    expected = {q: lens.ask(KINDS[q[0]](PHOTOS[q[1]])) for q in questions}
    before = lens.batches("rows")

    def fire(caller: int) -> list[tuple[tuple[str, int], requests.Response]]:
        mine = [(kind, (caller + turn) % len(PHOTOS)) for turn, kind in enumerate(KINDS)]
        random.Random(caller).shuffle(mine)
        return [(q, lens.ask(KINDS[q[0]](PHOTOS[q[1]]), "rows")) for q in mine]

    with ThreadPoolExecutor(THREADS) as callers:
        fired: list[Future[Any]] = [callers.submit(fire, caller) for caller in range(THREADS)]
        answers = [answer for future in fired for answer in future.result()]
    assert len(answers) == THREADS * len(KINDS)
    for question, answer in answers:
        try:
            assert_same_answer(answer, expected[question])
        except AssertionError as error:
            raise AssertionError(f"{question} was answered otherwise: {error}") from error
    assert len(answers) / (lens.batches("rows") - before) > 2, "rows did meet in batches"
