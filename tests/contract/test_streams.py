"""Frames: when they leave, what travels with them, and that there always is a last one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from worker_fixtures.front_end import Answer, FrontEnd, form, grpc, raw
from worker_fixtures.photos import BAD_CALLS, PHOTO, png

from servelens import codec

STREAM = form(PHOTO, explain="saliency", target="[0, 1, 2]", stream="true")


def kinds(answer: Answer) -> list[str]:
    return [frame["frame"] for frame in answer.frames]


def test_a_stream_is_progress_and_partial_maps_and_last_the_document(front_end: FrontEnd) -> None:
    answer = front_end.ask(STREAM)
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    assert kinds(answer) == ["progress", "progress", *["partial", "progress"] * 3, "document"]
    done = [frame["done"] for frame in answer.frames if frame["frame"] == "progress"]
    assert done == [0, 1, 2, 3, 4]


def test_a_stream_s_document_is_the_one_that_a_plain_call_gets(front_end: FrontEnd) -> None:
    frames = front_end.ask(STREAM).frames
    document = frames[-1]["document"]
    plain = front_end.ask(form(PHOTO, explain="saliency", target="[0, 1, 2]")).json
    assert document["cost"].pop("ms").keys() == plain["cost"].pop("ms").keys()
    assert document == plain
    for frame in (frame for frame in frames if frame["frame"] == "partial"):
        _, index, _ = frame["path"].split("/")
        assert frame["tensor"] == document["attributions"][int(index)]["map"]


def test_frames_leave_one_by_one(front_end: FrontEnd) -> None:
    answer = front_end.ask(STREAM)
    assert answer.messages == list(range(len(answer.chunks)))
    assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in answer.chunks)


def test_rows_that_do_not_stream_are_answered_with_the_first_frame(front_end: FrontEnd) -> None:
    bad, _ = BAD_CALLS["bad stream"]
    bare, stream, refused, explained = front_end.send(
        raw(PHOTO), STREAM, bad, raw(png(1), explain="True")
    )
    assert bare.messages == refused.messages == explained.messages == stream.messages[:1] == [0]
    assert (bare.streams, stream.streams, refused.streams) == (False, True, False)
    assert (bare.status, refused.status) == (200, 400)


def test_streams_of_one_batch_follow_each_other_without_waiting(front_end: FrontEnd) -> None:
    first, bare, second = front_end.send(STREAM, raw(PHOTO), STREAM)
    assert bare.messages == [0]
    assert first.messages[-1] == second.messages[0]
    assert kinds(first) == kinds(second)


def test_what_is_wrong_is_said_with_a_status_before_the_first_frame(front_end: FrontEnd) -> None:
    answer = front_end.ask(form(PHOTO, explain="gradcam", stream="true"))
    assert (answer.status, answer.json["type"]) == (400, "unknown_method")
    assert not answer.streams


@pytest.mark.parametrize("door", ["unary", "stream"])
def test_a_grpc_caller_gets_a_last_word_beside_a_stream(front_end: FrontEnd, door: str) -> None:
    by_grpc, stream = front_end.send(grpc(door, data=PHOTO), STREAM)
    assert by_grpc.json == front_end.ask(raw(PHOTO)).json
    assert kinds(stream)[-1] == "document"


def frames_of(monkeypatch: pytest.MonkeyPatch, front_end: FrontEnd, frames: Any) -> Answer:
    """The answer to a stream for which the engine gives these frames."""
    session = front_end.service._entry_point.__self__.session
    monkeypatch.setattr(session, "open_stream", lambda request: frames)
    return front_end.ask(STREAM)


def fails_midway() -> Iterator[dict[str, Any]]:
    yield {"frame": "progress", "done": 1, "total": 9, "text": "forward pass"}
    raise RuntimeError("the engine gave up")


@pytest.mark.parametrize(
    "frames",
    [
        fails_midway(),
        iter([{"frame": "progress", "done": 1, "total": 1, "text": "no document follows"}]),
        iter([]),
        iter([{"frame": "partial", "path": "x", "tensor": object()}]),
    ],
)
def test_a_stream_that_breaks_off_ends_with_a_problem(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, frames: Any
) -> None:
    answer = frames_of(monkeypatch, front_end, frames)
    assert answer.status == 200
    last = answer.frames[-1]
    assert last["frame"] == "problem"
    assert (last["problem"]["type"], last["problem"]["code"]) == ("internal", 500)


def test_nothing_follows_the_last_frame(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"frame": "problem", "problem": {"code": 507, "type": "out_of_memory"}}
    answer = frames_of(monkeypatch, front_end, iter([problem, problem]))
    assert kinds(answer) == ["progress", "problem"]
    assert codec.read_json(answer.chunks[-1]) == problem


def test_a_failure_while_a_stream_runs_leaves_nobody_waiting(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = front_end.sendall
    numbers = iter(range(100))

    def fails_once(message: bytes) -> None:
        if next(numbers) == 2:
            raise OSError("the pipe broke")
        sent(message)

    monkeypatch.setattr(front_end.service.cl_socket, "sendall", fails_once)
    first, bare, second = front_end.send(STREAM, raw(PHOTO), STREAM)
    assert bare.status == 200
    assert kinds(first)[-1] == "problem"
    assert (second.status, second.json["type"]) == (500, "internal")
