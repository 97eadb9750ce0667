"""TorchServe's documented management API, held against a server of our archives.

Registering, scaling and unregistering by our client is in test_client.py, what is refused with
which status in test_facts_management.py; here is what other people's tools call.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests
from lens_caller import PATIENCE_S, Lens
from lens_fixtures import MODELS


def manage(lens: Lens, verb: str, path: str, **words: Any) -> requests.Response:
    return requests.request(
        verb,
        lens.server.ports.url("management") + path,
        params=words,
        headers=lens.server.authorization("management"),
        timeout=PATIENCE_S,
    )


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Status and type; TorchServe repeats the status in the body."""
    told = answer.json()
    assert told["code"] == answer.status_code
    assert told["message"]
    return answer.status_code, told["type"]


def test_a_model_is_told_of_with_the_documented_keys(lens: Lens) -> None:
    (told,) = manage(lens, "GET", "/models/rows").json()
    assert (told["modelName"], told["modelVersion"], told["modelUrl"]) == (
        "rows",
        "1.0",
        "tiny.mar",
    )
    assert (told["batchSize"], told["minWorkers"], told["maxWorkers"]) == (4, 1, 1)
    assert told["runtime"] == "python"
    (worker,) = told["workers"]
    assert (worker["status"], worker["gpu"]) == ("READY", False)
    assert worker["memoryUsage"] >= 0
    assert told["jobQueueStatus"] == {"remainingCapacity": 100, "pendingRequests": 0}


def test_a_version_is_told_of_alone_and_among_all(lens: Lens) -> None:
    expected = manage(lens, "GET", "/models/tiny").json()
    for path in ("/models/tiny/1.0", "/models/tiny/all"):
        told = manage(lens, "GET", path).json()
        assert [version["modelVersion"] for version in told] == ["1.0"]
        assert told[0]["modelUrl"] == expected[0]["modelUrl"]


def test_models_are_listed_in_pages(lens: Lens) -> None:
    first = manage(lens, "GET", "/models", limit=3).json()
    second = manage(lens, "GET", "/models", limit=3, next_page_token=first["nextPageToken"]).json()
    assert len(first["models"]) == 3
    assert "nextPageToken" not in second
    listed = [entry["modelName"] for page in (first, second) for entry in page["models"]]
    assert sorted(listed) == sorted(MODELS)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({}, (400, "BadRequestException")),
        ({"url": "tiny.mar", "model_name": "x", "runtime": "perl"}, (400, "BadRequestException")),
        ({"url": "none.mar"}, (404, "ModelNotFoundException")),
        ({"url": "../store/tiny.mar"}, (404, "ModelNotFoundException")),
        ({"url": "tiny.mar", "model_name": "tiny"}, (409, "ConflictStatusException")),
    ],
    ids=["no url", "runtime", "missing", "a path", "taken"],
)
def test_what_cannot_be_registered_has_its_status(
    lens: Lens, words: dict[str, str], status: tuple[int, str]
) -> None:
    assert refusal(manage(lens, "POST", "/models", **words)) == status
    assert sorted(lens.server.client.models()) == sorted(MODELS)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/models/none", (404, "ModelNotFoundException")),
        ("GET", "/models/guest/9.9", (404, "ModelVersionNotFoundException")),
        ("PUT", "/models/none", (404, "ModelNotFoundException")),
        ("PUT", "/models/guest/9.9/set-default", (404, "ModelVersionNotFoundException")),
        ("DELETE", "/models/none", (404, "ModelNotFoundException")),
        ("DELETE", "/models/guest/9.9", (404, "ModelVersionNotFoundException")),
        ("POST", "/models/guest", (405, "MethodNotAllowedException")),
        ("GET", "/nothing", (404, "ResourceNotFoundException")),
    ],
)
def test_what_is_not_there_has_its_status(
    lens: Lens, guest: str, verb: str, path: str, status: tuple[int, str]
) -> None:
    assert refusal(manage(lens, verb, path)) == status
    assert guest in lens.server.client.models()


def test_scaling_is_accepted_at_once_or_done_when_it_is_answered(lens: Lens, guest: str) -> None:
    words = {"min_worker": 0, "max_worker": 0}
    assert manage(lens, "PUT", f"/models/{guest}", **words).status_code == 202
    assert manage(lens, "PUT", f"/models/{guest}", synchronous="true", **words).status_code == 200


def test_more_workers_at_least_than_at_most_are_refused(lens: Lens, guest: str) -> None:
    answer = manage(lens, "PUT", f"/models/{guest}", min_worker=2, max_worker=1)
    assert refusal(answer) == (400, "BadRequestException")
    (told,) = manage(lens, "GET", f"/models/{guest}").json()
    assert told["workers"] == []


def test_a_model_is_unregistered_once(lens: Lens, guest: str) -> None:
    assert manage(lens, "DELETE", f"/models/{guest}").status_code == 200
    assert refusal(manage(lens, "DELETE", f"/models/{guest}")) == (404, "ModelNotFoundException")


def test_the_api_describes_itself(lens: Lens) -> None:
    told = manage(lens, "OPTIONS", "/").json()
    assert told["openapi"].startswith("3.")
    assert {"/models", "/models/{model_name}"} <= told["paths"].keys()
