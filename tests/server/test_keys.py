"""Fact 19: which key opens what, over all that TorchServe offers by HTTP and by gRPC.

Every call here would do something, or tell something, were it let in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
import requests
from grpc_door import GrpcDoor
from lens_caller import PATIENCE_S, Lens
from lens_fixtures import GUEST
from lens_pictures import photo

INTRUDER = "intruder"
NEW = {"url": "tiny.mar", "model_name": INTRUDER}
FIRST = {"model_name": GUEST, "model_version": "1.0"}
PHOTO = photo(0)
ASKED = {"model_name": "tiny", "input": {"data": PHOTO}}

# Door, verb and path, and what is sent.
HTTP: Mapping[str, tuple[str, str, str, Mapping[str, Any]]] = {
    "list": ("management", "GET", "/models", {}),
    "describe": ("management", "GET", f"/models/{GUEST}", {}),
    "describe all": ("management", "GET", f"/models/{GUEST}/all", {}),
    "look into": ("management", "GET", "/models/tiny?customized=true", {}),
    "register": ("management", "POST", "/models", {"params": NEW}),
    "register by json": ("management", "POST", "/models", {"json": NEW}),
    "scale": ("management", "PUT", f"/models/{GUEST}?min_worker=1", {}),
    "scale a version": ("management", "PUT", f"/models/{GUEST}/1.0?min_worker=1", {}),
    "set default": ("management", "PUT", f"/models/{GUEST}/1.0/set-default", {}),
    "unregister": ("management", "DELETE", f"/models/{GUEST}", {}),
    "unregister a version": ("management", "DELETE", f"/models/{GUEST}/1.0", {}),
    "predict": ("inference", "POST", "/predictions/tiny", {"data": PHOTO}),
    "predict by put": ("inference", "PUT", "/predictions/tiny", {"data": PHOTO}),
    "predict a version": ("inference", "POST", "/predictions/tiny/1.0", {"data": PHOTO}),
    "explain": ("inference", "POST", "/explanations/tiny", {"data": PHOTO}),
    "kserve": ("inference", "POST", "/v1/models/tiny:predict", {"json": {"instances": []}}),
    "ping": ("inference", "GET", "/ping", {}),
    "what a browser asks first": ("inference", "OPTIONS", "/predictions/tiny", {}),
}
GRPC: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ListModels": ("management", {"limit": 100}),
    "DescribeModel": ("management", {"model_name": "tiny", "customized": True}),
    "RegisterModel": ("management", NEW),
    "ScaleWorker": ("management", {**FIRST, "min_worker": 1, "max_worker": 1}),
    "SetDefault": ("management", FIRST),
    "UnregisterModel": ("management", FIRST),
    "Ping": ("inference", {}),
    "Predictions": ("inference", ASKED),
    "StreamPredictions": ("inference", ASKED),
}
STREAMS = "StreamPredictions"
OTHER = {"management": "inference", "inference": "management"}
WRONG = ("nothing", "nonsense", "the other door's")


def wrong_key(lens: Lens, door: str, wrong: str) -> dict[str, str]:
    return {
        "nothing": {},
        "nonsense": {"Authorization": "Bearer nonsense"},
        "the other door's": lens.server.authorization(OTHER[door]),
    }[wrong]


@pytest.fixture(scope="module")
def doors(
    settled_lens: Lens, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, GrpcDoor]]:
    ports = settled_lens.server.ports
    numbers = {"inference": ports.grpc_inference, "management": ports.grpc_management}
    opened = {
        name: GrpcDoor(port, tmp_path_factory.mktemp("grpc"), name)
        for name, port in numbers.items()
    }
    yield opened
    for door in opened.values():
        door.close()


def state(lens: Lens) -> tuple[Any, ...]:
    """What a call that was let in would have changed."""
    client, keys = lens.server.client, lens.server.key_file
    assert keys is not None
    return client.models(), client.versions(GUEST), keys.read_text()


def over_http(lens: Lens, call: str, headers: Mapping[str, str]) -> requests.Response:
    door, verb, path, sent = HTTP[call]
    url = lens.server.ports.url(door) + path
    return requests.request(verb, url, headers=headers, timeout=PATIENCE_S, **sent)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("call", HTTP)
def test_no_call_over_http_is_opened_by_another_key(
    lens: Lens, guest: str, call: str, wrong: str
) -> None:
    before = state(lens)
    answer = over_http(lens, call, wrong_key(lens, HTTP[call][0], wrong))
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")
    assert state(lens) == before


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("call", GRPC)
def test_no_call_over_grpc_is_opened_by_another_key(
    lens: Lens, guest: str, doors: Mapping[str, GrpcDoor], call: str, wrong: str
) -> None:
    before = state(lens)
    name, fields = GRPC[call]
    send = doors[name].stream if call == STREAMS else doors[name].call
    with pytest.raises(grpc.RpcError) as refused:
        send(wrong_key(lens, name, wrong), call, **fields)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert state(lens) == before


@pytest.mark.parametrize("call", [name for name, (door, *_) in HTTP.items() if door == "inference"])
def test_its_own_key_opens_each_call_of_the_inference_door(lens: Lens, call: str) -> None:
    assert over_http(lens, call, lens.server.authorization()).status_code == 200


def test_its_own_key_opens_the_inference_door_of_grpc(
    lens: Lens, doors: Mapping[str, GrpcDoor]
) -> None:
    own, door = lens.server.authorization(), doors["inference"]
    assert json.loads(door.call(own, "Ping").health)["status"] == "Healthy"
    expected = pytest.approx(lens.bare(PHOTO), abs=1e-5)
    assert json.loads(door.call(own, "Predictions", **ASKED).prediction) == expected
    (only,) = door.stream(own, STREAMS, **ASKED)
    assert json.loads(only.prediction) == expected


def test_its_own_key_opens_the_management_door_of_grpc(
    lens: Lens, guest: str, doors: Mapping[str, GrpcDoor]
) -> None:
    """One after the other, as an operator would; over HTTP test_api_management.py does."""
    own, door = lens.server.authorization("management"), doors["management"]
    door.call(own, "RegisterModel", **NEW)
    assert INTRUDER in door.call(own, "ListModels", limit=100).msg
    there = {**FIRST, "model_name": INTRUDER}
    door.call(own, "SetDefault", **there)
    (told,) = json.loads(door.call(own, "DescribeModel", model_name=INTRUDER).msg)
    assert (told["modelUrl"], told["workers"]) == ("tiny.mar", [])
    door.call(own, "UnregisterModel", **there)
    assert INTRUDER not in lens.server.client.models()
    with pytest.raises(grpc.RpcError) as refused:
        door.call(own, "ScaleWorker", **there)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("key", ["inference", "management", "nonsense"])
def test_no_key_of_a_door_has_new_keys_made(lens: Lens, guest: str, key: str) -> None:
    before = state(lens)
    headers = (
        {"Authorization": "Bearer nonsense"}
        if key == "nonsense"
        else lens.server.authorization(key)
    )
    for kind in ("inference", "management"):
        answer = requests.get(
            f"{lens.server.ports.url('management')}/token",
            params={"type": kind},
            headers=headers,
            timeout=PATIENCE_S,
        )
        assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")
    assert state(lens) == before


def test_what_can_be_called_is_told_without_a_key_and_nothing_else_is(lens: Lens) -> None:
    url = f"{lens.server.ports.url('management')}/"
    told, known = (
        requests.options(url, headers=headers, timeout=PATIENCE_S)
        for headers in ({}, lens.server.authorization("management"))
    )
    assert told.status_code == 200
    assert told.content == known.content
    assert set(told.json()) == {"openapi", "info", "paths"}
    assert "tiny" not in told.text
