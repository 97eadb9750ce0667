"""Rows that TorchServe puts together: each is answered as if it had come alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from worker_fixtures.front_end import (
    Answer,
    Call,
    FrontEnd,
    as_json,
    describe,
    form,
    grpc,
    load,
    raw,
)
from worker_fixtures.photos import BAD_CALLS, PHOTO64, png

from servelens import codec
from servelens.engine import plan
from servelens.engine.budget import Pace

ONE, TWO = png(1), png(2)
EXPLAIN = {"explain": "True"}
NO_STATUS_BY_GRPC = 0
GOOD_CALLS: dict[str, Call] = {
    "one bare": raw(ONE),
    "two bare": raw(TWO),
    "one explained": raw(ONE, **EXPLAIN),
    "two explained": form(TWO, explain="grad_cam,saliency", target="[0, 3]"),
    "activations": form(ONE, activations="stem"),
    "npz": form(TWO, explain="saliency", format="npz"),
    "kserve": as_json({"instances": [{"b64": PHOTO64}, {"b64": "%"}, {"b64": PHOTO64}]}),
    "describe": describe(),
    "grpc": grpc(data=ONE, explain=b"saliency"),
    "stream": form(ONE, explain="saliency,grad_cam", target="[1, 2]", stream="true"),
    "short stream": form(TWO, top_k="1", stream="true"),
}
CALLS = {**GOOD_CALLS, **{name: call for name, (call, _) in BAD_CALLS.items()}}


def meaning(answer: Answer) -> Any:
    """All that an answer says but how long it took."""
    if answer.content_type == codec.NPZ_TYPE:
        content = codec.read_npz(answer.body)
    elif answer.content_type == codec.STREAM_TYPE:
        content = [codec.read_json(line) for line in answer.body.splitlines()]
    else:
        content = codec.read_json(answer.body)
    return answer.status, answer.content_type, _plain(content)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if name != "ms"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def about(value: Any) -> Any:
    """How many rows a pass has changes the order of its sums, and with it the last digits."""
    if isinstance(value, float):
        return pytest.approx(value, rel=2e-3, abs=1e-6)
    if isinstance(value, dict):
        return {name: about(item) for name, item in value.items()}
    return type(value)(map(about, value)) if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope="module")
def alone(front_end: FrontEnd) -> dict[str, Any]:
    """What each call means when it comes alone."""
    return {name: meaning(front_end.ask(call)) for name, call in CALLS.items()}


@pytest.fixture(scope="module")
def expected(alone: dict[str, Any]) -> dict[str, Any]:
    return {name: about(said) for name, said in alone.items()}


def test_the_calls_here_are_all_told_apart(alone: dict[str, Any], expected: dict[str, Any]) -> None:
    good = list(GOOD_CALLS)
    assert all(alone[name][0] in (200, NO_STATUS_BY_GRPC) for name in good)
    assert all(alone[a] != expected[b] for i, a in enumerate(good) for b in good[:i])


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(CALLS)), min_size=1, max_size=8))
def test_a_row_is_answered_alike_in_any_company(
    front_end: FrontEnd, expected: dict[str, Any], names: list[str]
) -> None:
    answers = front_end.send(*(CALLS[name] for name in names))
    for name, answer in zip(names, answers, strict=True):
        assert meaning(answer) == expected[name], name


def test_every_bad_row_leaves_its_neighbours_alone(
    front_end: FrontEnd, expected: dict[str, Any]
) -> None:
    for name, (call, _) in BAD_CALLS.items():
        before, bad, after = front_end.send(GOOD_CALLS["one bare"], call, GOOD_CALLS["npz"])
        assert meaning(before) == expected["one bare"], name
        assert meaning(bad) == expected[name], name
        assert meaning(after) == expected["npz"], name


def test_the_first_row_does_not_decide_for_the_others(front_end: FrontEnd) -> None:
    explained, bare = front_end.send(GOOD_CALLS["one explained"], GOOD_CALLS["one bare"])
    assert "attributions" in explained.json
    assert "attributions" not in bare.json


def test_rows_that_name_no_budget_share_the_worker_s_time(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    session = handler_of(front_end).session
    run = session.run
    monkeypatch.setattr(session, "run", lambda requests: seen.extend(requests) or run(requests))
    with_budget = form(ONE, explain="saliency", budget_ms="7000")
    front_end.send(raw(ONE), GOOD_CALLS["kserve"], with_budget, GOOD_CALLS["describe"])
    # Two photos of the three instances, the bare one and the one with a budget of its own.
    assert [request.budget_ms for request in seen] == [15_000.0, 15_000.0, 15_000.0, 7000.0]


def handler_of(front_end: FrontEnd) -> Any:
    return front_end.service._entry_point.__self__


def test_all_rows_go_to_the_engine_in_one_call(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    session = handler_of(front_end).session
    run = session.run
    monkeypatch.setattr(session, "run", lambda r: calls.append(len(r)) or run(r))
    front_end.send(raw(ONE), GOOD_CALLS["kserve"], BAD_CALLS["no picture"][0], raw(TWO, **EXPLAIN))
    assert calls == [5]


def test_an_engine_that_raises_costs_only_the_row_to_blame(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = handler_of(front_end).session
    run = session.run

    def fails_on_two(requests: Any) -> Any:
        if any(request.image == TWO for request in requests):
            raise RuntimeError("CUDA error: all is lost\n[METRICS]Fake.Count:1|#a:b")
        return run(requests)

    monkeypatch.setattr(session, "run", fails_on_two)
    good, bad, also_good = front_end.send(raw(ONE), raw(TWO), raw(ONE, **EXPLAIN))
    assert (good.status, bad.status, also_good.status) == (200, 500, 200)
    assert bad.json["type"] == "internal"
    assert bad.json["id"] in bad.json["hint"]
    assert bad.json["id"] in caplog.text
    assert "all is lost" in caplog.text
    assert "lost" not in bad.body.decode()
    # The front end obeys a line that begins so.
    assert not any(line.startswith("[METRICS]Fake") for line in caplog.text.splitlines())


def test_nothing_leaves_handle_even_where_the_adapter_itself_fails(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr("servelens.torchserve.batch.reply_to", fails)
    assert [a.status for a in front_end.send(raw(ONE), raw(TWO))] == [500, 500]
    monkeypatch.setattr("servelens.torchserve.batch.read_row", fails)
    assert [a.status for a in front_end.send(raw(ONE), raw(TWO))] == [500, 500]
    monkeypatch.setattr("servelens.torchserve.handler.Batch", fails)
    assert [a.status for a in front_end.send(raw(ONE), grpc("stream", data=TWO))] == [500, 0]


def test_metrics_that_fail_cost_no_answer(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("no such unit")

    monkeypatch.setattr(front_end.service.context.metrics, "add_counter", fails)
    assert front_end.ask(raw(ONE)).status == 200
    assert "the metrics of a batch were not reported: ValueError" in caplog.text


def test_a_batch_reports_its_rows_and_problems(
    front_end: FrontEnd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stream = form(ONE, explain="saliency", stream="true")
    front_end.send(raw(ONE), stream, BAD_CALLS["no field"][0], BAD_CALLS["bad stream"][0])
    metrics = reported(caplog)
    values = values_of(metrics)
    assert values["LensRows.Count"] == "4"
    assert values["LensProblems.Count"] == "2"
    assert float(values["LensEngineTime.Milliseconds"]) > 0
    assert values["LensInvalid.Count"] == "2"
    assert int(values["LensBytes.Count"]) > 1000
    assert values["LensMemoryRetries.Count"] == "0"
    by_method = {line.split("#")[1].split(",")[0] for line in metrics if "MethodTime" in line}
    assert by_method == {"Method:none", "Method:saliency"}
    assert json.dumps(metrics).count("ModelName:tiny") == len(metrics) == 8


def test_a_batch_reports_how_often_memory_ran_out(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def for_two_rows_at_most(module: nn.Module, inputs: Any) -> None:
        if len(inputs[0]) > 2:
            raise MemoryError

    monkeypatch.setattr(plan, "calibrate", lambda run, device: Pace(4, 3.0, 3.0))
    front_end = FrontEnd(load(model_folder))
    model = handler_of(front_end).session.model
    for module in {model.module, model.twin.module}:
        module.register_forward_pre_hook(for_two_rows_at_most)
    caplog.set_level("INFO")
    for retries in ("1", "0"):
        caplog.clear()
        answers = front_end.send(*[raw(ONE, **EXPLAIN)] * 4)
        assert [answer.status for answer in answers] == [200] * 4
        assert values_of(reported(caplog))["LensMemoryRetries.Count"] == retries


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records]
    return [line for line in said if line.startswith("[METRICS]Lens")]


def values_of(metrics: list[str]) -> dict[str, str]:
    return dict(line.removeprefix("[METRICS]").split("|")[0].rsplit(":", 1) for line in metrics)


def test_a_row_is_in_the_log_under_its_callers_request_id(
    front_end: FrontEnd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answers = front_end.send(raw(ONE), BAD_CALLS["unknown layer"][0])
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("lens {")]
    first, second = (json.loads(line.removeprefix("lens ")) for line in said)
    assert first.pop("ms") > 0
    assert first == {"request_id": "id-0", "status": 200, "bytes": len(answers[0].body)}
    assert (second["request_id"], second["status"]) == ("id-1", 400)
    assert second["problem"] == "unknown_layer"
    assert "layer99" not in said[1], "nothing that a caller sent"
