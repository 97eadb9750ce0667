"""A lens key, or /explanations: a document, in each of its encodings, and the capability one."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import numpy as np
import pytest
import requests
from lens_caller import PATIENCE_S, Call, Lens, as_json, assert_same, form, npz_document, raw
from lens_fixtures import LABELS
from lens_pictures import base64_of, halves, photo
from PIL import Image

from servelens.protocol import to_wire

PHOTO = photo(0)
NPZ = {"Accept": "application/x-npz"}
SALIENCY = {"explain": "saliency", "target": [1, 4], "activations": ["stem"]}


def without_cost(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "cost"}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_a_lens_key_turns_a_prediction_into_a_document(lens: Lens) -> None:
    document = lens.document(form(PHOTO, top_k=6))
    assert document["lens"] == 1
    assert document["model"]["name"] == "tiny"
    assert document["attributions"] == document["activations"] == []
    predictions = document["predictions"]
    probabilities = {p["label"]: p["probability"] for p in predictions[:5]}
    assert probabilities == pytest.approx(lens.bare(PHOTO))
    assert [LABELS[p["index"]] for p in predictions] == [p["label"] for p in predictions]
    assert sum(p["probability"] for p in predictions) == pytest.approx(1)


def test_explanations_are_explained_without_being_asked(lens: Lens) -> None:
    document = lens.document(raw(PHOTO, door="explanations"))
    (attribution,) = document["attributions"]
    assert (attribution["method"], attribution["layer"]) == ("grad_cam", "last")
    assert attribution["map"].min() >= 0 < attribution["map"].max()
    asked = lens.document(form(PHOTO, explain=True))
    assert_same(without_cost(document), without_cost(asked), "document")
    plain = lens.document(form(PHOTO, door="explanations", explain=False))
    assert plain["attributions"] == []


def test_three_shapes_of_a_body_give_the_same_document(lens: Lens) -> None:
    by_raw = lens.document(raw(PHOTO, door="explanations"))
    by_form = lens.document(form(PHOTO, door="explanations"))
    by_json = lens.document(as_json(PHOTO, door="explanations"))
    assert_same(without_cost(by_form), without_cost(by_raw), "form")
    assert_same(without_cost(by_json), without_cost(by_raw), "json")
    as_url = as_json(door="explanations", image=f"data:image/png;base64,{base64_of(PHOTO)}")
    assert_same(without_cost(lens.document(as_url)), without_cost(by_raw), "data URL")


def test_a_form_and_json_mean_the_same_by_the_same_keys(lens: Lens) -> None:
    keys = {**SALIENCY, "id": "a", "dtype": "float32", "top_k": 2, "seed": 3}
    by_form, by_json = lens.document(form(PHOTO, **keys)), lens.document(as_json(PHOTO, **keys))
    assert_same(without_cost(by_form), without_cost(by_json), "document")
    assert [entry["target"]["index"] for entry in by_form["attributions"]] == [1, 4]


@pytest.mark.parametrize(
    "call",
    [
        form(PHOTO, format="npz", **SALIENCY),
        form(PHOTO, headers=NPZ, **SALIENCY),
        as_json(PHOTO, format="npz", **SALIENCY),
    ],
    ids=["key", "header", "json key"],
)
def test_npz_holds_the_json_documents_values(lens: Lens, call: Call) -> None:
    answer = lens.ask(call)
    assert answer.headers["Content-Type"] == "application/x-npz"
    assert zipfile.is_zipfile(io.BytesIO(answer.content))
    in_npz = lens.read_document(answer)
    in_json = lens.document(form(PHOTO, **SALIENCY))
    assert_same(without_cost(in_npz), without_cost(in_json), "npz")
    for ours, theirs in zip(in_npz["attributions"], in_json["attributions"], strict=True):
        assert np.array_equal(ours["map"].astype(np.float16), theirs["map"].astype(np.float16))
    told = npz_document(answer.content)["attributions"][0]["map"]
    assert told == {**told, "dtype": "float16", "shape": [224, 224], "array": "attributions/0/map"}


def test_drawings_come_with_a_photo_and_pictures_go_back(lens: Lens) -> None:
    drawing, asked = base64_of(halves()), {"method": "feature_ablation", "target": 1}
    keys = {"explain": [{**asked, "segments": drawing}, "grad_cam"], "render": True}
    by_text = form(PHOTO, mask=drawing, **keys)
    by_file = form(PHOTO, **keys)
    by_file.how["files"]["mask"] = ("mask.png", halves(), "image/png")
    documents = [
        lens.document(call)
        for call in (
            by_text,
            by_file,
            as_json(PHOTO, mask=drawing, **keys),
            form(PHOTO, mask=drawing, format="npz", **keys),
        )
    ]
    for document in documents:
        assert_same(without_cost(document), without_cost(documents[0]), "document")
    halved, cam = documents[0]["attributions"]
    assert halved["params"]["segments"] == 2
    assert len(np.unique(halved["map"][:, :100])) == len(np.unique(halved["map"][:, -100:])) == 1
    left, top, right, bottom = documents[0]["input"]["crop"]
    for entry in (halved, cam):
        picture = Image.open(io.BytesIO(base64.b64decode(entry["image"])))
        assert (picture.format, picture.size) == ("PNG", (right - left, bottom - top))


def test_an_explanation_of_a_bare_image_may_be_npz(lens: Lens) -> None:
    answer = lens.ask(raw(PHOTO, "explanations", headers=NPZ))
    assert answer.headers["Content-Type"] == "application/x-npz"
    in_json = lens.document(raw(PHOTO, "explanations"))
    assert_same(without_cost(lens.read_document(answer)), without_cost(in_json), "npz")


def test_the_key_format_goes_before_the_header(lens: Lens) -> None:
    answer = lens.ask(form(PHOTO, headers=NPZ, format="json", top_k=1))
    assert answer.headers["Content-Type"] == "application/json"


def test_a_bare_image_stays_json_whatever_is_accepted(lens: Lens) -> None:
    answer = lens.ask(raw(PHOTO, headers=NPZ))
    assert answer.json() == lens.bare(PHOTO)


def test_float32_is_exact_where_float16_is_near(lens: Lens) -> None:
    exact, near = (lens.document(form(PHOTO, dtype=d, **SALIENCY)) for d in ("float32", "auto"))
    ours, theirs = exact["attributions"][0]["map"], near["attributions"][0]["map"]
    assert np.array_equal(ours.astype(np.float16), theirs.astype(np.float16))
    assert not np.array_equal(ours, theirs)


@pytest.mark.parametrize("said", ["0042", "true", "[1]", "größer ☃", "a\nb"])
def test_an_id_comes_back_as_the_text_it_was(lens: Lens, said: str) -> None:
    assert lens.document(form(PHOTO, id=said))["id"] == said
    assert lens.document(as_json(PHOTO, id=said))["id"] == said


def test_activations_of_the_default_layers(lens: Lens) -> None:
    document = lens.document(form(PHOTO, activations=True))
    shapes = {entry["layer"]: entry["maps"].shape for entry in document["activations"]}
    assert shapes == {"stem": (8, 112, 112), "block": (8, 112, 112)}


def test_a_method_that_cannot_work_here_stands_beside_those_that_did(lens: Lens) -> None:
    plan = [{"method": "grad_cam", "layer": "head"}, "saliency"]
    failed, worked = lens.document(form(PHOTO, explain=plan))["attributions"]
    assert (failed["map"], failed["problem"]["type"]) == (None, "unsupported")
    assert (worked["map"].shape, worked["problem"]) == ((224, 224), None)


def test_the_capability_document_needs_no_image_and_has_two_doors(lens: Lens) -> None:
    by_key = lens.ask(form(describe=True)).json()
    by_json = lens.ask(as_json(describe=True)).json()
    listed = requests.get(
        f"{lens.server.ports.url('management')}/models/tiny",
        params={"customized": "true"},
        headers=lens.server.authorization("management"),
        timeout=PATIENCE_S,
    ).json()
    assert by_key == by_json
    lens.check("capability", by_key)
    # TorchServe writes what it was given anew, and leaves out the keys whose value is null.
    assert without_nulls(by_key) == listed[0]["customizedMetadata"]
    assert by_key["labels"] == list(LABELS)
    assert by_key["default_layers"] == ["stem", "block"]
    assert by_key["limits"]["response_bytes"] == 6_000_000
    assert {"grad_cam", "saliency"} <= {m["name"] for m in by_key["methods"] if m["supported"]}
    assert by_key["model"]["digest"] == lens.document(form(PHOTO, top_k=1))["model"]["digest"]


def test_the_capability_document_wins_over_an_image(lens: Lens) -> None:
    assert lens.ask(form(PHOTO, describe=True)).json() == lens.ask(form(describe=True)).json()


def test_the_client_reads_what_the_doors_answer(lens: Lens) -> None:
    client = lens.server.client
    assert client.classify("tiny", PHOTO) == lens.bare(PHOTO)
    assert client.capability("tiny") == lens.ask(form(describe=True)).json()
    expected = lens.document(form(PHOTO, **SALIENCY))
    for answer in (
        client.ask("tiny", PHOTO, **SALIENCY),
        client.ask("tiny", PHOTO, format="npz", **SALIENCY),
        to_wire(client.explain("tiny", PHOTO, **SALIENCY).document),
        to_wire(client.explain("tiny", PHOTO, format="npz", **SALIENCY).document),
        list(client.stream("tiny", PHOTO, **SALIENCY))[-1]["document"],
    ):
        assert_same(without_cost(answer), without_cost(expected), "document")
