"""TorchServe's documented inference API, by every verb and path, answered by our archives."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from lens_caller import OCTETS, PATIENCE_S, Lens, assert_same, kserve
from lens_pictures import base64_of, photo

PHOTO = photo(0)
PHOTO64 = base64_of(PHOTO)


def infer(lens: Lens, verb: str, path: str, **how: Any) -> requests.Response:
    headers = {**lens.server.authorization(), **how.pop("headers", {})}
    url = lens.server.url + path
    return requests.request(verb, url, headers=headers, timeout=PATIENCE_S, **how)


def test_the_server_is_healthy(lens: Lens) -> None:
    assert infer(lens, "GET", "/ping").json() == {"status": "Healthy"}


def test_the_api_describes_itself(lens: Lens) -> None:
    told = infer(lens, "OPTIONS", "/").json()
    assert told["openapi"].startswith("3.")
    assert {"/ping", "/predictions/{model_name}"} <= told["paths"].keys()


@pytest.mark.parametrize("verb", ["POST", "PUT"])
@pytest.mark.parametrize(
    "path", ["/predictions/tiny", "/predictions/tiny/1.0", "/models/tiny/invoke"]
)
def test_a_prediction_is_the_same_by_every_way(lens: Lens, verb: str, path: str) -> None:
    """`curl -T` puts, `curl -F` posts, SageMaker's multi-model servers invoke."""
    answer = infer(lens, verb, path, data=PHOTO, headers=OCTETS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == lens.bare(PHOTO)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/explanations/tiny", "/explanations/tiny/1.0"])
def test_an_explanation_is_the_same_with_and_without_a_version(lens: Lens, path: str) -> None:
    answer = infer(lens, "POST", path, data=PHOTO, headers=OCTETS)
    document = lens.read_document(answer)
    assert [entry["method"] for entry in document["attributions"]] == ["grad_cam"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predictions/none", (404, "ModelNotFoundException")),
        ("/predictions/tiny/9.9", (404, "ModelVersionNotFoundException")),
        ("/explanations/none", (404, "ModelNotFoundException")),
        ("/explanations/tiny/9.9", (404, "ModelVersionNotFoundException")),
        ("/nothing", (404, "ResourceNotFoundException")),
        ("/v1/models/none:predict", (404, "ModelNotFoundException")),
        ("/v1/models/none:explain", (404, "ModelNotFoundException")),
    ],
)
def test_what_is_not_there_has_its_status(lens: Lens, path: str, status: tuple[int, str]) -> None:
    answer = infer(lens, "POST", path, data=PHOTO, headers=OCTETS)
    assert (answer.status_code, answer.json()["type"]) == status
    assert answer.json()["code"] == answer.status_code


def test_kserves_first_protocol_is_a_twin_of_predictions_and_explanations(lens: Lens) -> None:
    """test_doors_kserve.py has the rest."""
    instances = [{"b64": PHOTO64}, {"b64": base64_of(photo(1))}]
    predicted = lens.ask(kserve(instances)).json()["predictions"]
    assert_same(predicted, [lens.bare(PHOTO), lens.bare(photo(1))], "predictions")
    explained = lens.ask(kserve(instances, "explain")).json()["explanations"]
    alone = lens.read_document(
        infer(lens, "POST", "/explanations/tiny", data=PHOTO, headers=OCTETS)
    )
    assert [len(document["attributions"]) for document in explained] == [1, 1]
    assert_same(explained[0]["predictions"], alone["predictions"], "explanations")


def test_kserves_second_protocol_is_refused_in_words(lens: Lens) -> None:
    """It takes a service envelope, which reads but the first row of a batch, see fact 32."""
    tensor = {"name": "input", "shape": [1], "datatype": "BYTES", "data": [PHOTO64]}
    answer = infer(lens, "POST", "/v2/models/tiny/infer", json={"inputs": [tensor]})
    problem = lens.read_problem(answer)
    assert (problem["code"], problem["type"], problem["where"]) == (400, "unknown_key", "inputs")


def test_a_stream_comes_in_chunks_and_ends(lens: Lens) -> None:
    fields = {"data": ("photo.png", PHOTO), "explain": (None, "saliency"), "stream": (None, "true")}
    answer = infer(lens, "POST", "/predictions/tiny", files=fields)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert lens.read_document(answer)["attributions"]
