"""gRPC's Predictions and StreamPredictions: a form's fields as the `input` map."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from grpc_door import GrpcDoor
from lens_caller import TELLTALES, Lens, assert_same, assert_same_answer, form
from lens_pictures import photo, plain

from servelens import codec

PHOTO = photo(0)


@pytest.fixture(scope="module")
def door(settled_lens: Lens, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcDoor]:
    opened = GrpcDoor(settled_lens.server.ports.grpc_inference, tmp_path_factory.mktemp("grpc"))
    yield opened
    opened.close()


def unary(lens: Lens, door: GrpcDoor, model: str = "tiny", **fields: bytes) -> bytes:
    return door.predictions(lens.server.authorization(), model, **fields)


def stream(lens: Lens, door: GrpcDoor, model: str = "tiny", **fields: bytes) -> list[bytes]:
    return door.stream_predictions(lens.server.authorization(), model, **fields)


@pytest.mark.parametrize("model", ["tiny", "rows"])
def test_an_image_alone_is_answered_as_over_http(lens: Lens, door: GrpcDoor, model: str) -> None:
    expected = pytest.approx(lens.bare(PHOTO), abs=1e-5)
    assert json.loads(unary(lens, door, model, data=PHOTO)) == expected
    (only,) = stream(lens, door, model, data=PHOTO)
    assert json.loads(only) == expected


def test_fields_are_keys_as_in_a_form(lens: Lens, door: GrpcDoor) -> None:
    fields = {"explain": b"saliency,grad_cam", "target": b'"star"', "id": b"0042"}
    document = codec.read_json(unary(lens, door, data=PHOTO, **fields))
    over_http = lens.document(form(PHOTO, **{k: v.decode() for k, v in fields.items()}))
    assert document["id"] == "0042"
    assert_same(document | {"cost": 0}, over_http | {"cost": 0}, "document")


def test_npz_travels_too(lens: Lens, door: GrpcDoor) -> None:
    body = unary(lens, door, data=PHOTO, explain=b"saliency", format=b"npz")
    assert codec.read_npz(body)["attributions"][0]["map"].shape == (224, 224)


def test_what_may_be_asked_is_described(lens: Lens, door: GrpcDoor) -> None:
    described = json.loads(unary(lens, door, describe=b"true"))
    assert described == lens.ask(form(describe=True)).json()


@pytest.mark.parametrize(
    ("model", "fields", "code", "kind"),
    [
        ("tiny", {"data": PHOTO, "explian": b"1"}, 400, "unknown_key"),
        ("tiny", {"explain": b"true"}, 400, "no_image"),
        ("tiny", {"data": b"no picture"}, 400, "bad_image"),
        ("tiny", {"data": PHOTO, "explain": b"true", "budget_ms": b"0"}, 413, "over_budget"),
        ("touchy", {"data": plain("white")}, 500, "internal"),
        ("tiny", {"data": PHOTO, "explain": b"true", "stream": b"true"}, 400, "bad_value"),
    ],
)
def test_a_problem_is_read_from_the_body(
    lens: Lens, door: GrpcDoor, model: str, fields: dict[str, bytes], code: int, kind: str
) -> None:
    """Fact 33: gRPC drops the handler's status, and a stream without frames may hang its client."""
    for body in (unary(lens, door, model, **fields), *stream(lens, door, model, **fields)):
        problem = json.loads(body)
        lens.check("problem", problem)
        assert (problem["code"], problem["type"]) == (code, kind)
        assert not TELLTALES.search(body)


def test_the_streaming_call_gets_a_whole_document(lens: Lens, door: GrpcDoor) -> None:
    (body,) = stream(lens, door, data=PHOTO, explain=b"grad_cam")
    lens.check("document", json.loads(body))


def test_calls_of_both_kinds_and_a_stream_over_http_share_a_batch(
    lens: Lens, door: GrpcDoor
) -> None:
    """A second message to a unary call would leave the worker hanging, see facts 13 and 33."""
    frames = form(PHOTO, explain="saliency", target=[0, 1], stream=True)
    one, several, streamed, wrong = lens.meet(
        "rows",
        lambda: unary(lens, door, "rows", data=PHOTO),
        lambda: stream(lens, door, "rows", data=photo(1), explain=b"grad_cam"),
        lambda: lens.ask(frames, "rows"),
        lambda: stream(lens, door, "rows", data=b"no picture"),
    )
    assert json.loads(one) == pytest.approx(lens.bare(PHOTO), abs=1e-5)
    (explained,) = map(codec.read_json, several)
    alone = lens.document(form(photo(1), explain="grad_cam"))
    assert_same(explained | {"cost": 0}, alone | {"cost": 0}, "document")
    assert_same_answer(streamed, lens.ask(frames))
    (problem,) = map(json.loads, wrong)
    assert problem["type"] == "bad_image"
