"""What answers look like on the wire before they are encoded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from servelens.protocol import (
    STATUS,
    Attribution,
    ClassRef,
    Cost,
    Document,
    InputRef,
    ModelRef,
    Prediction,
    Problem,
    TargetRef,
    to_wire,
)

DOCUMENT = Document(
    lens=1,
    id=None,
    model=ModelRef("shapes", "1.0", "sha256:0"),
    input=InputRef(640, 480, (110, 30, 530, 450), (224, 224)),
    predictions=(Prediction(3, "disc", 0.98, 5.1),),
    activations=(),
    attributions=(),
    cost=Cost(1, 0, {"compute": 41.0}),
)


def test_a_document_has_the_protocol_s_keys() -> None:
    wire = to_wire(DOCUMENT)
    assert wire == {
        "lens": 1,
        "id": None,
        "model": {"name": "shapes", "version": "1.0", "digest": "sha256:0"},
        "input": {"width": 640, "height": 480, "crop": [110, 30, 530, 450], "size": [224, 224]},
        "predictions": [{"index": 3, "label": "disc", "probability": 0.98, "logit": 5.1}],
        "activations": [],
        "attributions": [],
        "cost": {"forwards": 1, "backwards": 0, "ms": {"compute": 41.0}},
    }


def test_what_was_not_asked_for_is_absent_and_what_has_no_value_is_null() -> None:
    attribution = Attribution("saliency", target=TargetRef(1, "disc"))
    wire = to_wire(attribution)
    assert wire["target"] == {"index": 1, "label": "disc"}
    assert wire["map"] is wire["layer"] is wire["problem"] is None
    versus = to_wire(TargetRef(1, "disc", versus=ClassRef(2, "star")))
    assert versus == {"index": 1, "label": "disc", "versus": {"index": 2, "label": "star"}}
    unsupported = Problem("unsupported", "not on this model", where="weights")
    with_problems = to_wire(dataclasses.replace(DOCUMENT, problems=(unsupported,)))
    assert with_problems["problems"] == [unsupported.to_wire()]


def test_tensors_stay_arrays_until_they_are_packed() -> None:
    values = np.zeros((7, 7), np.float32)
    document = dataclasses.replace(DOCUMENT, attributions=(Attribution("saliency", map=values),))
    assert to_wire(document)["attributions"][0]["map"] is values


def test_an_answer_is_frozen() -> None:
    for frozen in (DOCUMENT, DOCUMENT.predictions[0], Problem("no_image", "none")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.__setattr__(dataclasses.fields(frozen)[0].name, 0)


@pytest.mark.parametrize("kind", STATUS)
def test_a_problem_says_its_code_and_an_id_only_where_it_has_one(kind: str) -> None:
    found = Problem(kind, "It failed.", hint="Mend it.", where="explain[0]")
    wire = {
        "code": STATUS[kind],
        "type": kind,
        "message": "It failed.",
        "hint": "Mend it.",
        "where": "explain[0]",
    }
    assert found.to_wire() == wire
    assert dataclasses.replace(found, id="42").to_wire() == {**wire, "id": "42"}
    assert found.at("seed").to_wire() == {**wire, "where": "seed"}
