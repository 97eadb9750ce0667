"""DeepLIFT and LRP in a session: what adds up, when they are offered, what they cost."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from careless_nets import CarelessNet
from engine_fixtures.alike import assert_same
from engine_fixtures.oracles import model_input, untouched
from engine_fixtures.photos import photo
from engine_fixtures.sessions import card, document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of, counted, state_of
from odd_nets import BatchStatisticsNet, GatedNet, SigmoidModuleNet, StochasticNet, TellingNet
from tiny_net import TinyNet
from torch import nn
from torchvision.models import resnet18

from servelens.engine import sampling, shooting, unrolling
from servelens.engine.folder.card import InputSpec
from servelens.engine.kit import Propagation
from servelens.engine.session import Session, survey_model

METHODS = {
    "deep_lift": Propagation.DEEP_LIFT,
    "deep_lift_shap": Propagation.DEEP_LIFT,
    "lrp": Propagation.LRP,
}
EACH = pytest.mark.parametrize("method", METHODS)
PHOTO = photo(seed=3)


@cache
def tiny() -> Session:
    return open_session(seeded(TinyNet))


def entries(session: Session) -> dict[str, Any]:
    return {m["name"]: m for m in session.describe()["methods"] if m["name"] in METHODS}


# What adds up.


@cache
def resnet() -> Session:
    """Random weights, at a size that keeps it short."""
    module = seeded(resnet18, num_classes=10)
    return open_session(module, input=InputSpec(size=(64, 64), resize=64))


def scores(session: Session, images: torch.Tensor, target: int) -> torch.Tensor:
    with torch.no_grad():
        return untouched(session.model.module)(images.double())[:, target]


def black_in(session: Session) -> torch.Tensor:
    spec = session.card.input
    level = -torch.tensor(spec.mean) / torch.tensor(spec.std)
    return level.view(1, 3, 1, 1).expand(1, 3, *spec.size)


@pytest.mark.parametrize("target", [0, 7])
def test_deep_lift_of_a_resnet_adds_up_to_the_change_of_the_score(target: int) -> None:
    found, shap = document(
        resnet(), PHOTO, explain=["deep_lift", "deep_lift_shap"], target=target
    ).attributions
    own, without = (
        scores(resnet(), image, target).item()
        for image in (model_input(resnet(), PHOTO), black_in(resnet()))
    )
    assert found.map.sum() == pytest.approx(
        own - without, abs=1e-4 * float(np.abs(found.map).sum())
    )
    for item in (found, shap):
        assert abs(item.convergence_delta) < 1e-4 * np.abs(item.map).sum()


def test_what_lrp_of_a_resnet_misses_of_the_score_is_told() -> None:
    for epsilon in (0.0, 0.25):
        explain = {"method": "lrp", "epsilon": epsilon}
        answer = document(resnet(), PHOTO, explain=explain, target=7)
        (found,) = answer.attributions
        score = scores(resnet(), model_input(resnet(), PHOTO), 7).item()
        missing = found.map.sum() - score
        assert found.convergence_delta == pytest.approx(missing, rel=1e-3)


def test_without_biases_and_epsilon_lrp_hands_out_the_whole_score() -> None:
    module = seeded(CarelessNet, bias=False)
    nn.init.zeros_(module.norm.bias)
    nn.init.zeros_(module.norm.running_mean)
    session = open_session(module)
    kept, all_of_it = document(
        session, PHOTO, explain=["lrp", {"method": "lrp", "epsilon": 0}], target=1
    ).attributions
    score = scores(session, model_input(session, PHOTO), 1).item()
    assert all_of_it.map.sum() == pytest.approx(score, rel=1e-4)
    assert abs(all_of_it.convergence_delta) < 1e-4 * abs(score)
    assert abs(kept.convergence_delta) > 1e-2 * abs(score), "epsilon keeps some, and says so"


def test_a_single_logit_is_explained_for_both_classes() -> None:
    session = open_session(seeded(SigmoidModuleNet, num_classes=1))
    for method in METHODS:
        no, yes = document(session, PHOTO, explain=method, target=[0, 1]).attributions
        np.testing.assert_allclose(no.map, -yes.map, atol=1e-7 * np.abs(yes.map).max())


@EACH
def test_class_against_class_is_the_difference_of_both(method: str) -> None:
    explain = {"method": method, **({"epsilon": 0} if method == "lrp" else {})}
    targets = [1, 4, {"class": 1, "versus": 4}]
    one, other, apart = document(tiny(), PHOTO, explain=explain, target=targets).attributions
    np.testing.assert_allclose(apart.map, one.map - other.map, atol=1e-4 * np.abs(apart.map).max())


def test_baselines_are_drawn_from_the_seed() -> None:
    first, again, other = (
        document(tiny(), PHOTO, explain="deep_lift_shap", seed=seed).attributions[0].map
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()


# When they are offered.


@pytest.mark.parametrize(
    ("kind", "method", "why"),
    [
        (GatedNet, "lrp", "LRP has no rule for a call of amax"),
        (GatedNet, "deep_lift", "does not add up on this model"),
        (BatchStatisticsNet, "lrp", "whose rows influence each other"),
        (TellingNet, "deep_lift", "torch.fx cannot follow the model's code"),
        (StochasticNet, "deep_lift_shap", "random numbers"),
    ],
)
def test_what_a_model_does_not_allow_is_told_beside_what_it_does(kind, method, why) -> None:
    session = open_session(seeded(kind))
    said = entries(session)[method]
    assert not said["supported"] and why in said["reason"]
    assert "\n" not in said["reason"] and len(said["reason"]) < 350
    answer = document(session, explain=[method, "saliency"])
    refused, saliency = answer.attributions
    assert refused.map is None and refused.problem.type == "unsupported"
    assert refused.problem.message == said["reason"]
    assert saliency.map is not None
    assert (answer.cost.forwards, answer.cost.backwards) == (1, 1)


def test_a_model_that_cannot_be_copied_is_served_without_them() -> None:
    module = seeded(TinyNet)
    module.reader = open(__file__)  # noqa: SIM115 - what no copy can be made of
    try:
        methods = {m["name"]: m for m in survey_model(module, card())["methods"]}
    finally:
        module.reader.close()
    assert methods["saliency"]["supported"]
    for method in METHODS:
        assert "needs a copy of the model" in methods[method]["reason"]


def test_where_captum_is_missing_they_are_not_offered(monkeypatch) -> None:
    """At the build, or only in the worker."""
    built = survey_model(seeded(TinyNet), card())
    monkeypatch.setitem(sys.modules, "captum", None)
    for capability in (built, survey_model(seeded(TinyNet), card())):
        monkeypatch.setattr(
            "engine_fixtures.sessions.survey_model", lambda *_, found=capability: found
        )
        session = open_session(seeded(TinyNet))
        for method in METHODS:
            said = entries(session)[method]
            assert not said["supported"] and "Captum" in said["reason"]
            found, cam = document(session, explain=[method, "grad_cam"]).attributions
            assert found.problem.type == "unsupported" and "Captum" in found.problem.message
            assert cam.problem is None


# The unrolled models.


def test_a_model_is_unrolled_once_when_first_asked_for(monkeypatch) -> None:
    session, calls = open_session(seeded(TinyNet)), []
    unroll = unrolling.unroll

    def watched(*about: Any, for_lrp: bool) -> nn.Module:
        calls.append(for_lrp)
        return unroll(*about, for_lrp=for_lrp)

    monkeypatch.setattr(unrolling, "unroll", watched)
    document(session, explain=["grad_cam", "integrated_gradients"])
    assert calls == []
    for _ in range(2):
        document(session, explain=["deep_lift", "deep_lift_shap"])
        assert calls == [False]
    for _ in range(2):
        document(session, explain="lrp", target=[0, 1])
        assert calls == [False, True]


def test_what_cannot_be_unrolled_after_all_fails_alone_and_is_not_tried_again(monkeypatch) -> None:
    """A worker's PyTorch may be another than the builder's."""
    session, calls = open_session(seeded(TinyNet)), []

    def refuse(*about: Any, for_lrp: bool) -> nn.Module:
        calls.append(for_lrp)
        raise unrolling.NotUnrolledError("for /a/secret/reason")

    monkeypatch.setattr(unrolling, "unroll", refuse)
    for _ in range(2):
        found, cam = document(session, explain=["deep_lift", "grad_cam"]).attributions
        assert found.map is None and found.problem.type == "internal"
        assert "secret" not in str(found.problem.to_wire())
        assert cam.map is not None
    assert calls == [False]


def test_unrolled_models_take_no_memory_for_weights() -> None:
    own = {p.data_ptr() for p in both_of(tiny()).parameters()}
    for propagation in Propagation:
        weights = list(tiny().model.unrolled.by(propagation).parameters())
        assert weights and {p.data_ptr() for p in weights} <= own


def test_a_model_with_another_module_has_unrolled_ones_of_its_own() -> None:
    other = tiny().model.with_module(seeded(TinyNet, seed=5))
    batch = model_input(tiny(), PHOTO)
    for propagation in Propagation:
        with torch.no_grad():
            given = other.unrolled.by(propagation)(batch)
            assert torch.allclose(given, other.module(batch), atol=1e-5)
            assert not torch.allclose(given, tiny().model.module(batch), atol=1e-2)


@EACH
def test_both_models_are_left_as_they_were(method: str) -> None:
    unrolled = tiny().model.unrolled.by(METHODS[method])
    before = [state_of(module) for module in (tiny().model.module, unrolled)]
    names = {name: set(vars(module)) for name, module in unrolled.named_modules()}

    def assert_unchanged() -> None:
        assert [state_of(module) for module in (tiny().model.module, unrolled)] == before
        assert {name: set(vars(m)) for name, m in unrolled.named_modules()} == names

    document(tiny(), explain=method, target=[0, {"class": 1, "versus": 2}])
    assert_unchanged()
    assert problem(tiny(), explain=method, target="no such class").type == "unknown_class"
    assert_unchanged()
    with broken(unrolled, after=0, error=ValueError("a bad day")):
        (found,) = document(tiny(), explain=method).attributions
    assert found.problem.type == "internal"
    assert_unchanged()


@contextmanager
def broken(unrolled: nn.Module, *, after: int, error: Exception) -> Iterator[None]:
    """Raises in its middle for batches of more than so many rows."""
    layer = unrolled.get_submodule("last")
    forward = layer.forward

    def touchy(x: torch.Tensor) -> torch.Tensor:
        if len(x) > after:
            raise error
        return forward(x)

    layer.forward = touchy
    try:
        yield
    finally:
        del layer.forward


# What they cost, and what becomes of it.


@EACH
def test_memory_that_runs_out_at_one_image_costs_that_map_alone(method: str) -> None:
    unrolled = tiny().model.unrolled.by(METHODS[method])
    with broken(unrolled, after=0, error=MemoryError()):
        found, cam = document(tiny(), explain=[method, "grad_cam"]).attributions
    assert found.map is None and found.problem.type == "out_of_memory"
    assert cam.map is not None


def test_memory_that_runs_out_makes_chunks_of_baselines_smaller() -> None:
    session = open_session(seeded(TinyNet), chunk=8)
    unrolled = session.model.unrolled.by(Propagation.DEEP_LIFT)
    (whole,) = document(session, explain="deep_lift_shap", target=1).attributions
    with broken(unrolled, after=4, error=torch.cuda.OutOfMemoryError("CUDA out of memory")):
        (found,) = document(session, explain="deep_lift_shap", target=1).attributions
    np.testing.assert_allclose(found.map, whole.map, atol=1e-5 * np.abs(whole.map).max())


@EACH
@pytest.mark.parametrize("target", [[1], [1, 4, {"class": 0, "versus": 2}]])
def test_the_cost_is_what_really_went_through_the_models(method: str, target: list[Any]) -> None:
    tiny().model.unrolled.by(METHODS[method])
    with counted(tiny()) as passes:
        cost = document(tiny(), explain=[method, "saliency"], target=target).cost
    assert (cost.forwards, cost.backwards) == (sum(passes.forwards), sum(passes.backwards))
    images = 10 if method == "deep_lift_shap" else 1
    each = (2, 1) if method == "lrp" else (2, 2)
    assert cost.forwards == 1 + images * each[0] * len(target)
    assert cost.backwards == len(target) * (1 + images * each[1])


def test_a_stream_counts_their_passes_to_their_end() -> None:
    keys = {"explain": ["grad_cam", *METHODS, "integrated_gradients"], "target": [0, 1]}
    frames = list(tiny().open_stream(request(stream=True, **keys)))
    progress = [frame for frame in frames if frame["frame"] == "progress"]
    cost = frames[-1]["document"]["cost"]
    assert progress[-1]["done"] == progress[-1]["total"] == cost["forwards"] + cost["backwards"]
    assert {frame["text"] for frame in progress} >= set(METHODS)


def test_a_smaller_budget_draws_fewer_baselines_and_says_so() -> None:
    # Each pass is taken for 3 ms forward and back, each baseline for two of both.
    (found,) = document(tiny(), explain="deep_lift_shap", budget_ms=31).attributions
    assert found.params["samples"] == 5 and found.coarsened == {"samples": 10}
    for method in ("deep_lift", "lrp"):
        assert problem(tiny(), explain=method, budget_ms=4.5).type == "over_budget"


def test_the_time_limit_is_of_the_passes_and_not_of_unrolling(monkeypatch) -> None:
    session = open_session(seeded(TinyNet))
    seconds, unroll, relevance = [0.0], unrolling.unroll, shooting.weights_of

    def slow_unroll(*about: Any, for_lrp: bool) -> nn.Module:
        seconds[0] += 60
        return unroll(*about, for_lrp=for_lrp)

    def slow_pass(*about: Any) -> torch.Tensor:
        seconds[0] += 0.3
        return relevance(*about)

    monkeypatch.setattr(unrolling, "unroll", slow_unroll)
    monkeypatch.setattr(shooting, "weights_of", slow_pass)
    monkeypatch.setattr(sampling, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    (found,) = document(session, explain="deep_lift", budget_ms=500).attributions
    assert found.problem is None
    explain = ["deep_lift", {"method": "deep_lift_shap", "samples": 2}, "lrp"]
    first, second, third = document(session, explain=explain, budget_ms=500).attributions
    assert first.problem is None and second.problem is None
    assert third.problem.type == "over_budget" and third.map is None
    models = nn.ModuleList([both_of(session), *session.model.unrolled._made.values()])
    before = state_of(models)
    *_, late = document(session, explain=explain, budget_ms=500).attributions
    assert late.problem.type == "over_budget"
    assert state_of(models) == before


def test_mixed_rows_are_answered_as_if_alone() -> None:
    versus = {"class": 0, "versus": 3}
    rows = [
        request(photo(seed=1), explain=["deep_lift", "grad_cam", "lrp"], target=["predicted", 4]),
        request(photo(seed=2), activations="block"),
        request(photo(seed=3), explain=["lrp", {"method": "deep_lift_shap", "target": versus}]),
        request(photo(seed=4), explain={"method": "lrp", "epsilon": -1}),
        request(photo(seed=5), explain=["integrated_gradients", "deep_lift"], target=versus),
    ]
    together = tiny().run([copy.copy(row) for row in rows])
    for answer, row in zip(together, rows, strict=True):
        assert_same(answer, tiny().run([row])[0])
    assert together[3].type == "bad_value" and together[3].where == "explain.epsilon"
    assert [item.problem for item in together[0].attributions] == [None] * 6
