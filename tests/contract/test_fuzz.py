"""Whatever is sent, each row gets an answer or a problem of its own, and the worker goes on.

`scripts/test fuzz` tries many more of them, see the profile in tests/conftest.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from worker_fixtures.front_end import Answer, FrontEnd, form, load
from worker_fixtures.photos import PHOTO
from worker_fixtures.questions import CALLS, DOORS, ROWS, Batch

from servelens import codec
from servelens.protocol import Problem
from servelens.protocol.schema import document_schema, problem_schema
from servelens.torchserve.replies import problem_reply
from servelens.torchserve.rows import Question, read_row

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]

USUAL = settings().max_examples
LONGEST_MESSAGE = 1000
# Half a second for each batch: what would take longer is refused, and that is an answer too.
CONFIG = {"servelens": {"response_timeout_s": 1}}
PROBLEMS = Draft202012Validator(problem_schema())
DOCUMENTS = Draft202012Validator(document_schema())


@settings(max_examples=10 * USUAL)
@given(ROWS, DOORS)
def test_every_row_is_read(row: Any, headers: dict[str, str]) -> None:
    for part in read_row(row, headers).parts:
        assert isinstance(part, (Problem, Question))
        if isinstance(part, Problem):
            assert part.code in (400, 413)
            check_problem(json.loads(problem_reply(part).body))


@pytest.fixture(scope="module")
def front_end(model_folder: Path) -> FrontEnd:
    return FrontEnd(load(model_folder, CONFIG))


@pytest.fixture(scope="module")
def bare(front_end: FrontEnd) -> bytes:
    return front_end.ask(form(PHOTO)).body


@settings(max_examples=USUAL, deadline=None)
@given(st.lists(CALLS, min_size=1, max_size=3))
def test_every_batch_is_answered(front_end: FrontEnd, bare: bytes, calls: Batch) -> None:
    """The front end raises where a real one would kill the worker or let somebody wait."""
    *answers, neighbour = front_end.send(*calls, form(PHOTO))
    for answer in answers:
        check_answer(answer)
    assert neighbour.json == pytest.approx(json.loads(bare), abs=1e-5)


def check_answer(answer: Answer) -> None:
    assert answer.status in (200, 400, 413), answer.body
    if answer.content_type == codec.NPZ_TYPE:
        codec.read_npz(answer.body)
    elif answer.content_type == codec.STREAM_TYPE:
        check_value(answer.frames[-1])
    else:
        check_value(answer.json)


def check_value(value: Any) -> None:
    """A problem, a document, a frame with either, or a list of them by KServe's door."""
    if "code" in value:
        check_problem(value)
    elif "lens" in value and "predictions" in value:
        DOCUMENTS.validate(value)
        for entry in (value, *value["attributions"], *value["activations"]):
            for found in (entry.get("problem"), *entry.get("problems", ())):
                assert found is None or found["type"] != "internal", found
    elif "frame" in value:
        check_value(value.get("document") or value["problem"])
    else:
        for item in [*value.get("predictions", ()), *value.get("explanations", ())]:
            check_value(item)


def check_problem(problem: Any) -> None:
    PROBLEMS.validate(problem)
    assert problem["type"] not in ("internal", "out_of_memory"), problem
    assert len(problem["message"]) < LONGEST_MESSAGE, "no caller's words are echoed at length"
