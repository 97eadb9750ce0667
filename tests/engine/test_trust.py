"""Trust cards: every map has one, within its bound and budget, and whatever fails says so on it."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from engine_fixtures.photos import encode
from engine_fixtures.sessions import card, document, open_session, request, seeded
from engine_fixtures.sessions import session_of as session_of_card
from engine_fixtures.watches import counted
from jsonschema import Draft202012Validator
from PIL import Image
from tiny_net import TinyNet

from servelens import codec
from servelens.engine import explanations
from servelens.engine.folder.card import InputSpec, LensSpec
from servelens.engine.methods import METHODS
from servelens.engine.trust import CHECKS
from servelens.engine.trust.mass import mass_in
from servelens.engine.trust.pointing import points_into
from servelens.protocol import TrustCard, to_wire
from servelens.protocol.schema import document_schema
from servelens_archives.demo import models

NUMBERS = [name for check in CHECKS for name in check.names]
BY_PASSES = ["deletion_auc", "insertion_auc", "random_deletion_auc", "random_insertion_auc"]
RERUN = ["stability", "sanity"]
SAMPLES = models.FOLDER / "samples"


@cache
def tiny():
    return open_session(seeded(TinyNet))


@cache
def demo(kind):
    spec = InputSpec(size=(64, 64), resize=0, crop="none", mean=(0.5,) * 3, std=(0.25,) * 3)
    described = card(input=spec, lens=LensSpec(default_layer="stage3"))
    return session_of_card(models.trained_net(kind), described, chunk=16)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.png").read_bytes()


def mask_of(name: str) -> str:
    return base64.b64encode(sample(name)).decode()


def card_of(session, image=None, **keys) -> TrustCard:
    (found,) = document(session, image, **keys).attributions
    return found.trust


def numbers_of(found: TrustCard) -> dict[str, float | None]:
    return {name: getattr(found, name) for name in NUMBERS}


def test_the_checks_fill_the_numbers_of_the_card_and_no_others() -> None:
    others = {"curves", "compared_with", "forwards"}
    assert sorted(NUMBERS) == sorted({f.name for f in fields(TrustCard)} - others)
    described = tiny().describe()["trust"]
    assert [entry["name"] for entry in described] == [check.name for check in CHECKS]
    assert all(entry["summary"] for entry in described)
    assert [n["name"] for entry in described for n in entry["numbers"]] == NUMBERS


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_card_within_the_bound_and_says_what_it_lacks(method: str) -> None:
    session = demo("clean")
    layer = {"layer": "stage2"} if METHODS[method].scope == "layer" else {}
    without = document(session, sample("cross"), explain={"method": method, **layer}).cost
    with counted(session) as passes:
        answer = document(
            session,
            sample("cross"),
            explain={"method": method, **layer},
            mask=mask_of("cross.mask"),
            trust=True,
        )
    found = answer.attributions[0].trust
    assert answer.cost.forwards == without.forwards + found.forwards == sum(passes.forwards)
    assert answer.cost.backwards == sum(passes.backwards)
    assert found.forwards <= 100
    assert found.compared_with.keys() == set(NUMBERS) and all(found.compared_with.values())
    numbers = numbers_of(found)
    for name in (*BY_PASSES, "pointing", "mass"):
        assert 0 <= numbers[name] <= 1
    # Two runs for stability and three for sanity, where a run is one image, or three of an image
    # on the model unrolled, which is unrolled anew for sanity only in full.
    shared, unrolled = METHODS[method].is_shared, method in ("deep_lift", "lrp")
    assert (found.stability is not None) == (shared or unrolled)
    assert (found.sanity is not None) == shared
    assert found.forwards == 61 + (5 if shared else 0) + (6 if unrolled else 0)
    assert shared or 'trust: "full"' in found.compared_with["sanity"]
    assert (found.completeness is not None) == METHODS[method].complete
    if found.stability is not None:
        assert -1 <= found.stability <= 1
    if found.sanity is not None:
        assert 0 <= found.sanity < 1


@pytest.mark.parametrize("method", ["deep_lift", "lrp"])
def test_in_full_a_model_with_random_weights_is_unrolled_too(method: str) -> None:
    found = card_of(demo("clean"), sample("cross"), explain=method, trust="full")
    assert found.sanity is not None and 0 <= found.sanity < 1
    assert found.forwards == 61 + 5 * 3


def test_in_full_all_checks_are_made_whatever_they_take() -> None:
    explain = {"method": "integrated_gradients", "steps": 20}
    with counted(tiny()) as passes:
        answer = document(tiny(), explain=explain, trust="full")
    found = answer.attributions[0].trust
    assert found.stability is not None and found.sanity is not None
    # Each run once more is the image, the path's baseline and its steps.
    assert found.forwards == 61 + 5 * 22
    assert answer.cost.forwards == 22 + found.forwards == sum(passes.forwards)
    assert answer.cost.backwards == 20 + 5 * 20 == sum(passes.backwards)


def test_a_few_samples_more_are_what_the_bound_leaves_out() -> None:
    """39 images are left by the curves: two runs of 19 fit, two of 20 do not."""
    for samples, fits in ((18, True), (19, False)):
        found = card_of(tiny(), explain={"method": "smooth_grad", "samples": samples}, trust=True)
        assert (found.stability is not None) == fits and found.sanity is None
        assert found.forwards == 61 + 2 * 19 * fits


def test_completeness_is_the_part_that_is_missing() -> None:
    explain = {"method": "integrated_gradients", "steps": 3, "baseline": "white"}
    (found,) = document(tiny(), explain=explain, trust=True, dtype="float32").attributions
    total, delta = float(found.map.sum(dtype=np.float64)), found.convergence_delta
    assert found.trust.completeness == pytest.approx(abs(delta) / abs(total - delta), rel=1e-3)
    assert found.trust.completeness > 1e-4, "three steps are coarse"
    assert (
        "promise" in card_of(tiny(), explain="saliency", trust=True).compared_with["completeness"]
    )


def test_what_a_map_misses_without_a_promise_is_not_held_against_it(monkeypatch) -> None:
    """Some methods tell by how much they fall short, and never said that they would not."""
    modest = replace(METHODS["integrated_gradients"], complete=False)
    monkeypatch.setattr(explanations, "METHODS", {**METHODS, modest.name: modest})
    explain = {"method": modest.name, "steps": 3}
    session = open_session(seeded(TinyNet))
    (found,) = document(session, explain=explain, trust=True).attributions
    assert found.convergence_delta is not None and found.trust.completeness is None
    assert "promise" in found.trust.compared_with["completeness"]


@pytest.mark.parametrize("method", ["grad_cam", "saliency", "occlusion"])
def test_a_card_does_not_depend_on_chunks_or_on_what_stands_beside_it(method: str) -> None:
    asked = {"explain": method, "target": 1, "trust": True, "seed": 3}
    alone = to_wire(card_of(tiny(), **asked))
    for session in (tiny(), open_session(seeded(TinyNet), chunk=1)):
        beside = [method, "hires_cam", {"method": "smooth_grad", "samples": 2}, "grad_cam"]
        many = request(**{**asked, "explain": beside, "target": [1, 3]})
        answers = session.run([request(explain="saliency"), many, request()])
        again = to_wire(answers[1].attributions[0].trust)
        assert again["forwards"] == alone["forwards"]
        assert again["compared_with"] == alone["compared_with"]
        for name in NUMBERS:
            assert again[name] == (alone[name] and pytest.approx(alone[name], abs=2e-4)), name


def test_seeds_decide_what_is_drawn() -> None:
    one, same, other = (
        card_of(tiny(), explain="saliency", trust=True, seed=seed) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.curves.deletion == other.curves.deletion, "the map's own order is no draw"
    assert one.curves.random_deletion != other.curves.random_deletion
    assert one.stability != other.stability


def test_a_map_of_nothing_has_an_honest_card() -> None:
    # In TinyNet this map is zero all over, for its ReLU.
    answer = document(tiny(), explain="ablation_cam", trust=True, mask=whole_mask())
    (found,) = answer.attributions
    assert not found.map.any(), "or this test says nothing"
    assert set(numbers_of(found.trust).values()) == {None}
    assert found.trust.curves is None and found.trust.forwards == 0
    for name in (*BY_PASSES, *RERUN, "pointing"):
        assert found.trust.compared_with[name] == "the map is the same everywhere"
    assert found.trust.compared_with["mass"] == "nothing in the map is positive"


def whole_mask(level: int = 255) -> str:
    return base64.b64encode(encode(Image.new("L", (50, 40), level))).decode()


def test_a_map_that_failed_has_no_card() -> None:
    explain = ["saliency", {"method": "grad_cam", "layer": "head"}]
    there, failed = document(tiny(), explain=explain, trust=True).attributions
    assert there.trust is not None
    assert failed.problem is not None and failed.trust is None


def test_without_trust_there_is_no_card_and_no_pass_more() -> None:
    answer = document(tiny(), explain="saliency", trust=False)
    assert answer.attributions[0].trust is None and answer.cost.forwards == 1
    assert document(tiny(), trust=True).attributions == ()
    assert document(tiny(), trust=True).cost.forwards == 1


# Where the true cause is known.


def test_pointing_is_whether_the_highest_place_lies_in_the_mask() -> None:
    heat, mask = np.zeros((4, 4)), np.zeros((4, 4), bool)
    mask[:2, :2] = True
    heat[1, 1], heat[3, 3] = 2, 1
    assert points_into(heat, mask) == 1
    heat[3, 3] = 3
    assert points_into(heat, mask) == 0
    heat[1, 1] = 3
    assert points_into(heat, mask) == 0.5, "of two that are highest, one"
    assert points_into(-heat - 5, mask) == pytest.approx(3 / 14), "the sign is part of the value"


def test_mass_is_the_share_of_what_is_positive() -> None:
    heat = np.array([[3.0, 1.0], [-4.0, 0.0]], dtype=np.float32)
    mask = np.array([[True, False], [True, False]])
    assert mass_in(heat, mask) == 0.75
    assert mass_in(heat, ~mask) == 0.25
    assert mass_in(heat, np.ones_like(mask)) == 1


def test_mass_and_pointing_tell_the_model_that_cheats_from_its_twin() -> None:
    explain = ["grad_cam", "integrated_gradients", "occlusion"]
    keys = {"explain": explain, "target": 0, "trust": True}
    on_mark, on_shape = {}, {}
    for kind in models.KINDS:
        for name, found in (("mark", on_mark), ("mask", on_shape)):
            answer = document(
                demo(kind), sample("disc-marked"), mask=mask_of(f"disc-marked.{name}"), **keys
            )
            found[kind] = [entry.trust for entry in answer.attributions]
    for place in range(len(explain)):
        assert on_mark["shortcut"][place].mass > 0.15 > 0.002 > on_mark["clean"][place].mass
        assert on_shape["clean"][place].mass > on_shape["shortcut"][place].mass
        assert on_mark["shortcut"][place].pointing >= 0.5 > on_mark["clean"][place].pointing
        assert on_shape["clean"][place].pointing == 1
        assert on_mark["clean"][place].compared_with["mass"].startswith("0.0156, the mask's share")


def test_deletion_tells_a_good_map_from_a_random_one_on_the_model_that_cheats() -> None:
    found = card_of(demo("shortcut"), sample("disc-marked"), explain="grad_cam", trust=True)
    assert found.deletion_auc < 0.5 * found.random_deletion_auc
    assert found.insertion_auc > found.random_insertion_auc + 0.1


def test_a_mask_of_nothing_is_told() -> None:
    found = card_of(tiny(), explain="saliency", trust=True, mask=whole_mask(0))
    assert found.pointing is found.mass is None
    assert "nothing of the mask" in found.compared_with["mass"]
    assert "no mask" in card_of(tiny(), explain="saliency", trust=True).compared_with["mass"]
    whole = card_of(tiny(), explain="saliency", trust=True, mask=whole_mask())
    assert (whole.pointing, whole.mass) == (1, 1)


# How cards travel.


def test_cards_travel_in_json_and_npz_as_the_schema_says() -> None:
    wire = to_wire(document(tiny(), explain=["saliency", "occlusion"], trust=True))
    as_json = json.loads(codec.write_json(codec.pack_json(wire)))
    Draft202012Validator(document_schema()).validate(as_json)
    as_npz = codec.read_npz(codec.write_npz(*codec.pack_npz(wire)))
    for entry, here, there in zip(
        wire["attributions"], as_json["attributions"], as_npz["attributions"], strict=True
    ):
        assert entry["trust"] == here["trust"] == there["trust"]
        assert len(here["trust"]["curves"]["random_insertion"]) == 17


def test_a_stream_moves_while_checks_are_made() -> None:
    explain = ["grad_cam", "occlusion", {"method": "smooth_grad", "samples": 4}]
    keys = {"explain": explain, "target": [1, 2], "trust": True}
    frames = list(tiny().open_stream(request(stream=True, **keys)))
    progress = [frame for frame in frames if frame["frame"] == "progress"]
    cost = frames[-1]["document"]["cost"]
    done = [frame["done"] for frame in progress]
    assert done == sorted(done)
    assert {frame["text"] for frame in progress} >= {"deletion and insertion", *RERUN}
    assert done[-1] <= progress[-1]["total"] == cost["forwards"] + cost["backwards"]
    whole = to_wire(document(tiny(), **keys))
    for streamed, entry in zip(
        frames[-1]["document"]["attributions"], whole["attributions"], strict=True
    ):
        assert streamed["trust"] == entry["trust"]
    maps = [frame["path"] for frame in frames if frame["frame"] == "partial"]
    assert all(path.endswith("/map") for path in maps)
