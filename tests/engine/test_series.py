"""Series: what they share, how they come in parts, what they cost, and what they leave behind."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode, patches, photo
from engine_fixtures.sessions import SMALL, document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of, counted, state_of
from PIL import Image
from tiny_net import TinyNet

from servelens.engine import jobs, sampling
from servelens.engine.methods import METHODS
from servelens.engine.series.cells import SEGMENTS, cells_of
from servelens.engine.series.path import RULES
from servelens.protocol import Document

IN_PARTS = [name for name, method in METHODS.items() if method.comes_in_parts]
OF_CELLS = [name for name, method in METHODS.items() if SEGMENTS in method.params]
WITH_SERIES = [name for name, method in METHODS.items() if method.series is not None]


@cache
def tiny():
    return open_session(seeded(TinyNet))


def parts_that_add_up(asked: Any, of: int) -> tuple[Any, list[Any], np.ndarray]:
    """The whole, its parts, and what they come to together: the whole's map."""
    (whole,) = document(tiny(), explain=asked, dtype="float32").attributions
    parts = [
        document(tiny(), explain=asked, part={"index": i, "of": of}).attributions[0]
        for i in range(of)
    ]
    total = sum(part.map for part in parts) / sum(part.weight for part in parts)
    seen = total if whole.signed else np.maximum(total, 0)
    assert np.abs(seen - whole.map).max() <= 1e-6 * np.abs(whole.map).max()
    return whole, parts, total


@pytest.mark.parametrize("method", IN_PARTS)
@pytest.mark.parametrize("of", [1, 3, 7])
def test_parts_add_up_to_the_whole(method: str, of: int) -> None:
    whole, parts, total = parts_that_add_up(method, of)
    if whole.convergence_delta is not None:
        weights = sum(part.weight for part in parts)
        missing = sum(part.convergence_delta for part in parts) / float(weights.sum())
        assert missing == pytest.approx(
            whole.convergence_delta, abs=1e-6 * float(np.abs(total).sum())
        )


@pytest.mark.parametrize("method", ["integrated_gradients", "layer_conductance"])
@pytest.mark.parametrize("quadrature", RULES)
def test_parts_of_a_path_add_up_whatever_its_steps_count(method: str, quadrature: str) -> None:
    entry = {"method": method, "steps": 9, "quadrature": quadrature}
    parts_that_add_up(entry, of=4)


def test_a_share_that_looks_back_runs_the_image_before_once_more() -> None:
    entry = {"method": "layer_conductance", "steps": 8}
    costs = [document(tiny(), explain=entry, part={"index": i, "of": 2}).cost for i in range(2)]
    # The image itself, the path's baseline and four steps; of the second share one step before.
    assert [(cost.forwards, cost.backwards) for cost in costs] == [(6, 4), (7, 5)]
    together = [entry, {"method": "integrated_gradients", "steps": 8}]
    cost = document(tiny(), explain=together, part={"index": 1, "of": 2}).cost
    assert (cost.forwards, cost.backwards) == (7, 5)


def test_scores_too_far_apart_for_parts_are_told_so_and_the_whole_is_there() -> None:
    """Weights that a softmax makes next to nothing would be lost, and with them the map."""
    module = seeded(TinyNet)
    with torch.no_grad():
        module.head.weight *= 1e6
    session = open_session(module)
    (part,) = document(session, explain="score_cam", part={"index": 0, "of": 1}).attributions
    assert part.map is None and part.problem.type == "unsupported"
    assert "leave part out" in part.problem.hint
    (whole,) = document(session, explain="score_cam").attributions
    assert whole.map is not None


@pytest.mark.parametrize("method", IN_PARTS)
def test_a_share_without_any_image_adds_nothing(method: str) -> None:
    answer = document(tiny(), explain=method, part={"index": 0, "of": 10_000})
    (nothing,) = answer.attributions
    assert nothing.problem is None
    assert not nothing.map.any() and not nothing.weight.any()
    assert answer.cost.backwards == 0


@pytest.mark.parametrize("method", IN_PARTS)
def test_a_part_says_what_the_whole_would_take(method: str) -> None:
    whole = document(tiny(), explain=method).cost
    part = document(tiny(), explain=method, part={"index": 0, "of": 5}).cost
    assert whole.whole is None
    assert (part.whole.forwards, part.whole.backwards) == (whole.forwards, whole.backwards)


def test_a_part_of_what_has_none_is_told_beside_the_others() -> None:
    answer = document(tiny(), explain=["grad_cam", "occlusion"], part={"index": 0, "of": 2})
    cam, occlusion = answer.attributions
    assert cam.problem.type == "unsupported" and "occlusion" in cam.problem.hint
    assert occlusion.problem is None and occlusion.weight is not None


def test_a_part_beyond_the_last_is_refused() -> None:
    found = problem_of(part={"index": 3, "of": 3})
    assert (found.type, found.where) == ("bad_value", "part.index")


def problem_of(**keys):
    with pytest.raises(Exception, match="part") as caught:
        request(**keys)
    return caught.value.problem


def test_what_shares_a_series_shares_its_passes() -> None:
    path = {"steps": 9}
    entries = [
        {"method": "integrated_gradients", **path},
        {"method": "layer_conductance", "layers": ["stem", "block"], **path},
        {"method": "internal_influence", "layer": "last", **path},
    ]
    with counted(tiny()) as passes:
        cost = document(tiny(), explain=entries, target="top:2").cost
    # The image itself, the path's baseline, and nine steps; back for both targets.
    assert (cost.forwards, cost.backwards) == (11, 18)
    assert (sum(passes.forwards), sum(passes.backwards)) == (11, 18)


@pytest.mark.parametrize("method", METHODS)
def test_the_declared_cost_is_what_it_takes(method: str) -> None:
    said = {m["name"]: m["relative_cost"] for m in tiny().describe()["methods"]}[method]
    cost = document(tiny(), explain=method).cost
    assert said == cost.forwards + 2 * cost.backwards


def test_a_smaller_budget_makes_a_coarser_map_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine may take any time; what is tried here is what a pass is taken for, 3 ms.
    monkeypatch.setattr(jobs, "PATIENCE", 1e6)
    answer = document(tiny(), explain="integrated_gradients", budget_ms=60)
    (found,) = answer.attributions
    assert found.coarsened == {"steps": 50} and 2 <= found.params["steps"] < 50
    assert answer.cost.forwards == found.params["steps"] + 2 and found.map is not None
    (found,) = document(tiny(), explain="occlusion", budget_ms=120).attributions
    assert found.coarsened is not None and found.params["stride"] <= found.params["window"]


@pytest.mark.parametrize("method", OF_CELLS)
def test_segments_stand_in_place_of_the_grids_cells(method: str) -> None:
    """Those of a grid that is drawn are its cells, one by one."""
    # A photo of the input's own size is not scaled, and its drawing neither.
    session, image = (
        open_session(seeded(TinyNet), input=replace(SMALL, resize=32)),
        photo(width=32, height=32),
    )
    drawing = Image.fromarray(cells_of((3, 32, 32), 3).numpy().astype(np.uint8))
    how = {"method": method, "grid": 3}
    drawn = {**how, "grid": 5, "segments": encode(drawing)}
    (by_grid,) = document(session, image, explain=how).attributions
    (by_drawing,) = document(session, image, explain=drawn).attributions
    np.testing.assert_array_equal(by_drawing.map, by_grid.map)
    assert by_grid.params["segments"] is None and by_drawing.params["segments"] == 9


@pytest.mark.parametrize("method", OF_CELLS)
def test_parts_of_segments_add_up_to_the_whole(method: str) -> None:
    entry = {"method": method, "segments": encode(patches())}
    parts_that_add_up(entry, of=3)


def test_what_was_drawn_is_never_made_coarser() -> None:
    entry = {"method": "feature_ablation", "segments": encode(patches(count=20))}
    found = problem(tiny(), explain=entry, budget_ms=10)
    assert (found.type, found.code) == ("over_budget", 413)
    # Each pass is taken for 1 ms; a grid of as many cells is made coarser.
    (coarse,) = document(
        tiny(), explain={"method": "feature_ablation", "grid": 5}, budget_ms=20
    ).attributions
    assert coarse.coarsened == {"grid": 5}


@pytest.mark.parametrize(
    ("segments", "type", "where"),
    [
        ("%%%", "bad_image", "explain.segments"),
        (7, "bad_value", "explain.segments"),
        (encode(patches(40, 50)), "bad_value", "explain.segments"),
        (encode(Image.new("L", (50, 40))), "bad_value", "explain.segments"),
        (encode(patches(), "GIF"), "bad_image", "explain.segments"),
    ],
)
def test_bad_segments_are_named_with_their_place(segments, type: str, where: str) -> None:
    found = problem(tiny(), explain={"method": "lime", "segments": segments})
    assert (found.type, found.where) == (type, where)


def test_a_budget_that_is_too_small_for_any_map_is_refused_with_the_estimate() -> None:
    found = problem(tiny(), explain="score_cam", budget_ms=4)
    assert (found.type, found.code) == ("over_budget", 413)
    assert "ms" in found.message


def test_the_time_limit_is_of_all_series_together(monkeypatch) -> None:
    """Each of two series alone would be within it; the worker must outlive both."""
    session = open_session(seeded(TinyNet))
    forward = type(session.model.module).forward

    seconds = [0.0]

    def slow(self, x: torch.Tensor) -> torch.Tensor:
        seconds[0] += 0.25
        return forward(self, x)

    monkeypatch.setattr(type(session.model.module), "forward", slow)
    monkeypatch.setattr(sampling, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    entries = [{"method": name, "samples": 16} for name in ("smooth_grad", "gradient_shap")]
    within = document(session, explain=entries[:1], budget_ms=500).attributions
    assert within[0].problem is None
    before = state_of(both_of(session))
    first, second = document(session, explain=entries, budget_ms=500).attributions
    assert first.problem is None
    assert second.problem.type == "over_budget" and second.map is None
    assert state_of(both_of(session)) == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunk", [1, 5])
def test_maps_do_not_depend_on_chunks_or_neighbours(method: str, chunk: int) -> None:
    (alone,) = document(tiny(), explain=method, target=1).attributions
    other = open_session(seeded(TinyNet), chunk=chunk)
    requests = [request(explain=method, target=1), request(explain="saliency"), request()]
    answers = other.run(requests)
    assert all(isinstance(answer, Document) for answer in answers)
    (beside,) = answers[0].attributions
    assert np.abs(beside.map - alone.map).max() <= 2e-5 * max(np.abs(alone.map).max(), 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_leaves_the_model_as_it_found_it(method: str) -> None:
    module = tiny().model.module
    before = state_of(module)
    document(tiny(), explain=method)
    assert state_of(module) == before
    assert problem(tiny(), explain=method, target="no such class").type == "unknown_class"
    assert state_of(module) == before


@pytest.mark.parametrize("method", WITH_SERIES)
def test_memory_that_runs_out_makes_chunks_smaller(method: str, monkeypatch) -> None:
    session = open_session(seeded(TinyNet), chunk=8)
    (whole,) = document(session, explain=method, target=1).attributions
    forward, most = type(session.model.module).forward, 3

    def greedy(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(type(session.model.module), "forward", greedy)
    (found,) = document(session, explain=method, target=1).attributions
    assert found.problem is None
    assert np.abs(found.map - whole.map).max() <= 2e-5 * max(np.abs(whole.map).max(), 1e-9)


@pytest.mark.parametrize("method", WITH_SERIES)
def test_a_module_that_raises_in_a_series_costs_that_map_alone(method: str, monkeypatch) -> None:
    session = open_session(seeded(TinyNet))
    forward, calls = type(session.model.module).forward, []

    def touchy(self, x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        if len(calls) > 1:
            raise ValueError("only once")
        return forward(self, x)

    before = state_of(session.model.module)
    monkeypatch.setattr(type(session.model.module), "forward", touchy)
    cam, found = document(session, explain=["grad_cam", method]).attributions
    assert cam.map is not None and cam.problem is None
    assert found.map is None and found.problem.type == "internal"
    assert "only once" not in found.problem.message
    monkeypatch.undo()
    assert state_of(session.model.module) == before


def test_a_stream_counts_its_passes_up_to_what_it_said() -> None:
    keys = {"explain": ["grad_cam", "occlusion", "smooth_grad"], "stream": True}
    frames = list(tiny().open_stream(request(**keys)))
    progress = [frame for frame in frames if frame["frame"] == "progress"]
    done = [frame["done"] for frame in progress]
    assert done == sorted(done) and len({frame["total"] for frame in progress}) == 1
    assert done[-1] <= progress[-1]["total"] and len(progress) > 5
    assert {frame["text"] for frame in progress} >= {"occlusion", "smooth_grad"}
    assert frames[-1]["frame"] == "document"
