"""The engine's face: what its answers say, what it says of itself, and a model from a folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import model_input
from engine_fixtures.photos import photo
from engine_fixtures.sessions import SMALL, card, document, open_session, request, seeded
from jsonschema import Draft202012Validator, ValidationError
from odd_nets import (
    BatchStatisticsNet,
    InPlaceNet,
    LinearNet,
    PooledNet,
    SigmoidModuleNet,
    TellingNet,
)
from tiny_net import TinyNet

from servelens.engine import budget, plan
from servelens.engine.folder.card import Card, LensSpec, ModelSource, OutputSpec
from servelens.engine.folder.loading import ModelLoadError, write_weights
from servelens.engine.methods import METHODS
from servelens.engine.session import Session, survey_model
from servelens.protocol import Document, InputRef, Problem
from servelens.protocol.schema import capability_schema

LABELS = ("ant", "bee", "cat", "dog", "emu", "fox")
PHOTO = photo(seed=6)
SESSION = open_session(seeded(TinyNet), output=OutputSpec(LABELS))
CAPABILITIES = Draft202012Validator(capability_schema())


# Kinds of answer.


def test_an_answer_says_what_it_is_of():
    answer = document(SESSION, PHOTO, id="my photo")
    assert answer.lens == 1
    assert answer.id == "my photo"
    assert (answer.model.name, answer.model.version, answer.model.digest) == (
        "a-model",
        "1.0",
        "sha256:0",
    )
    assert answer.input == InputRef(50, 40, (7, 2, 42, 38), (32, 32))
    assert set(answer.cost.ms) >= {"preprocess", "compute"}
    assert all(ms >= 0 for ms in answer.cost.ms.values())


def test_attributions_are_in_the_order_of_entries_then_layers_then_targets():
    answer = document(
        SESSION,
        explain=[
            "saliency",
            {"method": "grad_cam", "layers": ["last", "stem"], "target": ["bee", 4]},
        ],
        target=["fox", {"class": 2, "versus": "ant"}],
    )
    found = [(i.method, i.layer, i.target.index, i.target.versus) for i in answer.attributions]
    ant = answer.attributions[1].target.versus
    assert (ant.index, ant.label) == (0, "ant")
    assert found == [
        ("saliency", None, 5, None),
        ("saliency", None, 2, ant),
        ("grad_cam", "last", 1, None),
        ("grad_cam", "last", 4, None),
        ("grad_cam", "stem", 1, None),
        ("grad_cam", "stem", 4, None),
    ]


def test_without_image_a_request_is_a_problem_that_says_how_to_send_one():
    (found,) = SESSION.run([replace(request(), image=None)])
    assert (found.type, found.code) == ("no_image", 400)
    assert "curl" in found.hint


def test_true_means_the_archives_own_plan_and_layers():
    lens = LensSpec(
        default_layer="block",
        default_layers=("stem", "last"),
        default_plan=("grad_cam", {"method": "saliency", "target": "top:2"}),
    )
    session = open_session(seeded(TinyNet), lens=lens)
    answer = document(session, explain=True, activations=True)
    assert [(i.method, i.layer) for i in answer.attributions] == [
        ("grad_cam", "block"),
        ("saliency", None),
        ("saliency", None),
    ]
    assert [entry.layer for entry in answer.activations] == ["stem", "last"]
    assert document(session, explain="grad_cam").attributions[0].layer == "block"


@pytest.mark.parametrize("layer", ["head", "head#0"])
def test_a_map_of_a_layer_without_places_is_unsupported_beside_those_that_work(layer):
    answer = document(
        SESSION,
        explain=[{"method": "grad_cam", "layers": ["last", layer]}, "saliency"],
        activations="last",
        target=[0, 1],
    )
    by_layer = {(i.layer, i.target.index): i for i in answer.attributions}
    for target in (0, 1):
        assert by_layer["last", target].map is not None
        assert by_layer[None, target].map is not None
        refused = by_layer[layer, target]
        assert refused.map is None
        assert refused.problem.type == "unsupported"
        assert "[6]" in refused.problem.message
        assert "'last'" in refused.problem.hint
        assert refused.problem.where == "explain[0].layer"
    assert answer.activations[0].maps is not None
    assert answer.cost.backwards == 2


def test_a_map_of_a_layer_without_places_is_unsupported_also_when_it_is_alone():
    answer = document(SESSION, explain={"method": "grad_cam", "layer": "head"})
    (item,) = answer.attributions
    assert item.map is None and item.problem.type == "unsupported"
    assert item.target.label in LABELS
    assert answer.predictions
    assert answer.cost.backwards == 0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_scripted_model_is_explained_on_its_input_alone():
    module = torch.jit.script(seeded(PooledNet))
    its_card = card()
    capability = {
        **survey_model(seeded(PooledNet), its_card),
        "layers": [],
        "default_layer": None,
        "default_layers": [],
    }
    for method in capability["methods"]:
        if method["scope"] == "layer":
            method.update(supported=False, reason="TorchScript refuses hooks on layers")
    with mock.patch.object(plan, "calibrate", side_effect=lambda *_: budget.Pace(8, 3.0, 3.0)):
        session = Session(
            module,
            its_card,
            capability,
            "sha256:0",
            torch.device("cpu"),
            budget.Limits(),
            "float32",
        )
    expected = document(open_session(seeded(PooledNet)), PHOTO, explain="saliency")
    answer = document(session, PHOTO, explain=["saliency", "grad_cam"], activations=True)
    CAPABILITIES.validate(session.describe())
    saliency, cam = answer.attributions
    np.testing.assert_allclose(saliency.map, expected.attributions[0].map, rtol=1e-5)
    assert cam.map is None and "TorchScript" in cam.problem.message
    assert answer.activations == ()


# What it says of itself.


@pytest.mark.parametrize("kind", [LinearNet, PooledNet, SigmoidModuleNet, InPlaceNet, TellingNet])
def test_the_capability_document_of_any_model_is_as_the_schema_says(kind):
    CAPABILITIES.validate(open_session(seeded(kind)).describe())


def test_the_capability_document_says_what_fits_together():
    told = SESSION.describe()
    CAPABILITIES.validate(told)
    assert told["lens"] == 1
    assert told["labels"] == list(LABELS)
    assert {method["name"] for method in told["methods"]} == set(METHODS)
    names = {layer["name"] for layer in told["layers"]}
    assert told["default_layer"] in names and set(told["default_layers"]) <= names
    assert {end.partition("#")[0] for edge in told["edges"] for end in edge} <= names
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("part", ["", "model", "input", "layers", "methods", "limits", "versions"])
def test_the_schema_notices_what_it_does_not_declare(part):
    told = SESSION.describe()
    found = told[part] if part else told
    (found[0] if isinstance(found, list) else found)["undeclared"] = None
    with pytest.raises(ValidationError, match="undeclared"):
        CAPABILITIES.validate(told)


def test_a_layer_that_is_overwritten_later_is_told():
    layers = open_session(seeded(InPlaceNet)).describe()["layers"]
    assert {layer["name"] for layer in layers if layer["in_place"]} == {"first", "norm"}


def test_the_digest_is_told_where_answers_tell_it_too():
    assert SESSION.describe()["model"]["digest"] == document(SESSION).model.digest == "sha256:0"


def test_what_is_told_cannot_be_used_to_change_what_is_so():
    before = json.dumps(SESSION.describe())
    told = SESSION.describe()
    told["labels"].clear()
    told["layers"][0]["shape"] = None
    told["methods"].clear()
    assert json.dumps(SESSION.describe()) == before


@pytest.mark.parametrize("method", METHODS)
def test_what_the_capability_document_offers_works(method):
    declared = next(m for m in SESSION.describe()["methods"] if m["name"] == method)
    assert declared["supported"] and declared["reason"] is None
    defaults = {param["name"]: param["default"] for param in declared["params"]}
    (item,) = document(SESSION, explain={"method": method, **defaults}).attributions
    assert item.problem is None
    assert item.params == defaults
    assert (item.layer is None) == (declared["scope"] == "input")
    (bare,) = document(SESSION, explain=method).attributions
    assert bare.params == defaults


# Predictions are those of the plain model, however they are made.


@pytest.mark.parametrize("kind", [TinyNet, PooledNet, InPlaceNet, BatchStatisticsNet, TellingNet])
def test_the_fast_way_and_the_recorded_ways_predict_the_same(kind):
    session = open_session(seeded(kind))
    plain = seeded(kind)
    with torch.no_grad():
        logits = plain(model_input(session, PHOTO))[0]
    probabilities = logits.softmax(dim=0)
    for keys in ({}, {"activations": {"layers": ["head"]}}, {"explain": "saliency"}):
        for prediction in document(session, PHOTO, **keys).predictions:
            assert prediction.logit == pytest.approx(logits[prediction.index].item(), rel=1e-4)
            expected = probabilities[prediction.index].item()
            assert prediction.probability == pytest.approx(expected, rel=1e-4)


# From a folder.


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(budget, "LONGEST_TRIAL_S", 0.0)
    here = Path(__file__).parent.parent
    shutil.copy(here / "models" / "tiny_net.py", tmp_path)
    source = ModelSource(file="tiny_net.py", class_name="TinyNet", num_classes=6)
    its_card = Card("tiny", model=source, input=SMALL, output=OutputSpec(LABELS))
    its_card.save(tmp_path)
    write_weights(tmp_path / "weights.npz", seeded(TinyNet).state_dict())
    return tmp_path


def test_a_model_folder_answers_as_the_model_in_memory_does(folder):
    session = Session.load(folder)
    answer = document(session, PHOTO, explain=["saliency", "grad_cam"])
    expected = document(SESSION, PHOTO, explain=["saliency", "grad_cam"])
    assert answer.predictions == expected.predictions
    for one, other in zip(answer.attributions, expected.attributions, strict=True):
        np.testing.assert_array_equal(one.map, other.map)
    assert answer.model.name == "tiny"
    assert answer.model.digest.startswith("sha256:")
    assert session.describe()["model"]["digest"] == answer.model.digest


def test_a_capability_file_is_taken_for_what_it_says(folder):
    first = Session.load(folder)
    told = survey_model(seeded(TinyNet), Card.load(folder))
    told["default_layer"] = "block"
    (folder / "capability.json").write_text(json.dumps(told))
    second = Session.load(folder)
    assert second.describe()["default_layer"] == "block"
    assert document(second, explain="grad_cam").attributions[0].layer == "block"
    assert document(second).model.digest == document(first).model.digest, "it does not count"


def test_labels_of_another_number_than_the_models_classes_are_refused(folder):
    source = Card.load(folder)
    Card(source.name, model=source.model, input=SMALL, output=OutputSpec(LABELS[:5])).save(folder)
    with pytest.raises(ModelLoadError, match=r"5 classes.* 6"):
        Session.load(folder)


def test_answers_are_frozen():
    answer = document(SESSION, explain="grad_cam", activations="last")
    for part in (answer, answer.cost, answer.attributions[0], answer.activations[0]):
        with pytest.raises(AttributeError):
            part.anything = 1
    assert isinstance(answer, Document) and not isinstance(answer, Problem)
