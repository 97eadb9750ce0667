"""What cannot be answered: each type of problem over HTTP, with its status and nothing else."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from lens_caller import PATIENCE_S, Call, Lens, as_json, form, raw
from lens_pictures import base64_of, header_only_png, photo, plain

from servelens.protocol.problem import STATUS

PHOTO = photo(0)
ALL_CLASSES = [0, 1, 2, 3, 4, 5]
JSON = {"Content-Type": "application/json"}

# To whom it goes, what is asked, the type of the problem and where it is.
PROBLEMS: dict[str, tuple[str, Call, str, str | None]] = {
    "nothing": ("tiny", raw(b""), "no_image", "image"),
    "a form of keys alone": ("tiny", form(explain=True), "no_image", "image"),
    "json without an image": ("tiny", as_json(explain=True), "no_image", "image"),
    "an empty explanation": ("tiny", raw(b"", "explanations"), "no_image", "image"),
    "text": ("tiny", raw(b"no picture"), "bad_image", "image"),
    "half a picture": ("tiny", raw(PHOTO[: len(PHOTO) // 2]), "bad_image", "image"),
    "postscript": ("tiny", raw(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "bad_image", "image"),
    "broken base64": ("tiny", as_json(image=base64_of(PHOTO)[:-1]), "bad_image", "image"),
    "broken json": ("tiny", raw(b'{"image": ', headers=JSON), "bad_json", None),
    "deep json": ("tiny", raw(b"[" * 100_000, headers=JSON), "bad_json", None),
    "a json list": ("tiny", raw(b"[1]", headers=JSON), "bad_json", None),
    "a misspelt key": ("tiny", form(PHOTO, explian=True), "unknown_key", "explian"),
    "a wrong type": ("tiny", form(PHOTO, top_k="many"), "bad_value", "top_k"),
    "too many classes": ("tiny", form(PHOTO, top_k=7), "bad_value", "top_k"),
    "two images": ("tiny", as_json(PHOTO, data=base64_of(PHOTO)), "bad_value", "data"),
    "a stream of npz": ("tiny", form(PHOTO, stream=True, format="npz"), "bad_value", "format"),
    "a method": ("tiny", form(PHOTO, explain=["gradcam"]), "unknown_method", "explain[0].method"),
    "a streamed method": (
        "tiny",
        form(PHOTO, explain="gradcam", stream=True),
        "unknown_method",
        "explain.method",
    ),
    "a layer": ("tiny", form(PHOTO, activations="stam"), "unknown_layer", "activations.layers"),
    "a class": ("tiny", form(PHOTO, explain=True, target="dragon"), "unknown_class", "target"),
    "a class's index": ("tiny", form(PHOTO, explain=True, target=6), "unknown_class", "target"),
    "one name for two": (
        "touchy",
        form(photo(0), explain=True, target="crane"),
        "ambiguous_class",
        "target",
    ),
    "a bomb": ("tiny", raw(header_only_png(100_000, 100_000)), "too_many_pixels", "image"),
    "a large photo": ("tiny", raw(header_only_png(9_000, 9_000)), "too_many_pixels", "image"),
    "no time": ("tiny", form(PHOTO, explain=True, budget_ms=0.0001), "over_budget", "budget_ms"),
    "a large answer": (
        "tiny",
        form(PHOTO, explain=["saliency"] * 4, target=ALL_CLASSES, dtype="float32"),
        "response_too_large",
        None,
    ),
    "a model that runs out of memory": ("touchy", raw(plain("blue")), "out_of_memory", None),
    "a model that fails": ("touchy", raw(plain("white")), "internal", None),
    "a model that fails later": ("touchy", raw(plain("white"), "explanations"), "internal", None),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_has_its_status_and_says_where(lens: Lens, name: str) -> None:
    model, call, kind, where = PROBLEMS[name]
    problem = lens.problem(call, model)
    assert (problem["type"], problem["where"]) == (kind, where), problem
    assert problem["code"] == STATUS[kind]
    assert problem["message"]


def test_every_type_of_problem_is_provoked_here() -> None:
    """All that is missing is never a status of its own: it stands in a document."""
    assert set(STATUS) - {kind for _, _, kind, _ in PROBLEMS.values()} == {"unsupported"}


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (form(PHOTO, explian=True), "did you mean 'explain'?"),
        (form(PHOTO, activations="stam"), "did you mean 'stem'"),
        (form(PHOTO, explain="gradcam"), "did you mean 'grad_cam' or"),
        (raw(b""), "curl -T"),
        (form(PHOTO, explain=["saliency"] * 4, target=ALL_CLASSES, dtype="float32"), "npz"),
    ],
)
def test_a_problem_says_what_to_do(lens: Lens, call: Call, hint: str) -> None:
    assert hint in lens.problem(call)["hint"]


def test_an_ambiguous_class_is_told_by_its_indices(lens: Lens) -> None:
    problem = lens.problem(form(photo(0), explain=True, target="crane"), "touchy")
    said = problem["message"] + problem["hint"]
    assert "0" in said
    assert "2" in said


def test_a_failure_has_the_id_that_the_log_has_too(lens: Lens) -> None:
    problem = lens.problem(raw(plain("white")), "touchy")
    log = (lens.server.front_end.logs / "model_log.log").read_text(errors="replace")
    assert f"incident {problem['id']}" in log
    assert "rabbit" in log, "the cause, which the answer must not tell"
    assert problem["id"] in problem["hint"]


def test_a_row_is_in_the_log_under_the_id_that_its_caller_was_told(lens: Lens) -> None:
    """In the header x-request-id, for whoever looks for one caller's row among all others'."""
    calls = (
        raw(PHOTO),
        form(PHOTO, explain="saliency", stream=True),
        form(PHOTO, activations="stam"),
    )
    answers = [lens.ask(call) for call in calls]
    for answer, problem in zip(answers, (None, None, "unknown_layer"), strict=True):
        row = row_in_log(lens, answer.headers["x-request-id"])
        assert (row["status"], row.get("problem")) == (answer.status_code, problem)
        # Of a stream the line is of its last frame.
        assert row["bytes"] == len(answer.content.splitlines(keepends=True)[-1])


def row_in_log(lens: Lens, request_id: str) -> dict[str, Any]:
    """The log may lag behind the answer."""
    line = re.compile(rf'MODEL_LOG - lens (\{{"request_id": "{re.escape(request_id)}".*\}})')
    deadline = time.monotonic() + PATIENCE_S
    while True:
        log = (lens.server.front_end.logs / "model_log.log").read_text(errors="replace")
        if found := line.findall(log):
            (row,) = map(json.loads, found)
            return dict(row)
        assert time.monotonic() < deadline, f"{request_id} is not in the log"
        time.sleep(0.1)


def test_a_document_with_every_known_key_stays_a_document(lens: Lens) -> None:
    """What it cannot do is a problem inside it, not of it."""
    part = {"index": 0, "of": 2}
    document = lens.document(form(PHOTO, top_k=1, explain="occlusion", render=True, part=part))
    assert [(p["type"], p["where"]) for p in document["problems"]] == [("unsupported", "render")]
