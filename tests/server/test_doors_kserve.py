"""KServe's v1 protocol, without a service envelope: one item an instance, problems among them."""

from __future__ import annotations

from typing import Any

import pytest
from lens_caller import TELLTALES, Lens, form, kserve, raw
from lens_pictures import base64_of, photo

PHOTO64 = base64_of(photo(0))
SPELLINGS = {
    "image": {"image": PHOTO64},
    "data": {"data": PHOTO64},
    "b64": {"b64": PHOTO64},
    "image_bytes": {"image_bytes": {"b64": PHOTO64}},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_image_may_stand_under_any_of_kserves_names(lens: Lens, spelling: str) -> None:
    answer = lens.ask(kserve([SPELLINGS[spelling]]))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"predictions": [lens.bare(photo(0))]}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_explain_answers_documents(lens: Lens, spelling: str) -> None:
    answer = lens.ask(kserve([SPELLINGS[spelling]], "explain")).json()
    (document,) = answer.pop("explanations")
    assert answer == {}
    lens.check("document", document)
    assert [entry["method"] for entry in document["attributions"]] == ["grad_cam"]
    alone = lens.ask(raw(photo(0), "explanations")).json()
    assert document["attributions"] == alone["attributions"]


def test_each_instance_has_its_own_answer_or_problem(lens: Lens) -> None:
    instances: list[Any] = [
        {"b64": base64_of(photo(1))},
        {"b64": "%%%"},
        {"image": PHOTO64, "explain": "saliency", "target": 3, "id": "mine"},
        {"image": PHOTO64, "explain": "gradcam"},
        {"explain": True},
        "no object",
    ]
    answer = lens.ask(kserve(instances, top_k=2))
    assert answer.status_code == 200
    assert not TELLTALES.search(answer.content)
    first, broken, saliency, method, empty, text = answer.json()["predictions"]
    for document in (first, saliency):
        lens.check("document", document)
        assert len(document["predictions"]) == 2, "a key beside the instances is for all of them"
    assert saliency["id"] == "mine"
    (entry,) = saliency["attributions"]
    alone = lens.ask(form(photo(0), explain="saliency", target=3)).json()["attributions"]
    assert [entry] == alone
    problems = {"bad_image": broken, "unknown_method": method, "no_image": empty, "bad_value": text}
    for index, (kind, problem) in zip((1, 3, 4, 5), problems.items(), strict=True):
        lens.check("problem", problem)
        assert problem["type"] == kind
        assert problem["where"].startswith(f"instances[{index}]")


def test_no_instance_is_no_answer_and_no_error(lens: Lens) -> None:
    assert lens.ask(kserve([])).json() == {"predictions": []}


@pytest.mark.parametrize("instances", ["text", {"b64": PHOTO64}, [{}] * 65])
def test_what_is_no_list_of_instances_is_a_problem(lens: Lens, instances: Any) -> None:
    call = kserve([])
    call.how["json"]["instances"] = instances
    problem = lens.problem(call)
    assert (problem["type"], problem["where"]) == ("bad_value", "instances")


def test_instances_that_are_too_large_together_are_a_problem(lens: Lens) -> None:
    many = [{"b64": PHOTO64}] * 20
    call = kserve(many, explain="saliency", target=[0, 1, 2, 3, 4, 5], dtype="float32")
    problem = lens.problem(call)
    assert (problem["type"], problem["hint"]) == (
        "response_too_large",
        "send fewer instances in one call",
    )
