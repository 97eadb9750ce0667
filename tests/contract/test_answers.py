"""What a single caller is answered, through TorchServe's own Python half of a worker."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from worker_fixtures.front_end import REST, Call, FrontEnd, as_json, describe, form, grpc, load, raw
from worker_fixtures.photos import BAD_CALLS, PHOTO, PHOTO64, as_base64, mask, png, with_mask

from servelens import codec
from servelens.protocol.schema import capability_schema

EXPLAIN = {"explain": "True"}
NPZ = {"accept": "application/x-npz"}


def test_a_bare_image_is_answered_as_the_stock_handler_does(front_end: FrontEnd) -> None:
    answer = front_end.ask(raw(PHOTO))
    assert (answer.status, answer.phrase) == (200, "OK")
    assert answer.content_type == answer.headers["content-type"] == "application/json"
    probabilities = list(answer.json.values())
    assert len(answer.json) == 5
    assert set(answer.json) < {"disc", "square", "star", "cross", "ring", "moon"}
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) < 1


def test_the_three_shapes_of_a_request_are_answered_alike(front_end: FrontEnd) -> None:
    bare = [raw(PHOTO), form(PHOTO), as_json({"image": PHOTO64}), raw(PHOTO, "image/png")]
    assert len({front_end.ask(call).body for call in bare}) == 1
    keys = {"explain": "grad_cam", "target": 2}
    by_form = front_end.ask(form(PHOTO, explain="grad_cam", target="2"))
    by_json = front_end.ask(as_json({"image": PHOTO64, **keys}))
    assert without_cost(by_form.json) == without_cost(by_json.json)


def without_cost(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "cost"}


def test_a_lens_key_brings_a_lens_document(front_end: FrontEnd) -> None:
    answer = front_end.ask(form(PHOTO, explain="grad_cam", target='"star"', id="0042"))
    document = codec.read_json(answer.body)
    (attribution,) = document["attributions"]
    assert (document["lens"], document["id"]) == (1, "0042")
    assert attribution["target"] == {"index": 2, "label": "star"}
    assert attribution["map"].min() >= 0
    assert document["cost"]["ms"].keys() == {"preprocess", "compute", "encode"}


def test_the_explanations_door_explains_without_a_key(front_end: FrontEnd) -> None:
    document = front_end.ask(raw(PHOTO, **EXPLAIN)).json
    assert [entry["method"] for entry in document["attributions"]] == ["grad_cam"]
    without = front_end.ask(form(PHOTO, {**REST, **EXPLAIN}, explain="false")).json
    assert without["attributions"] == []


def test_a_mask_arrives_by_every_door(front_end: FrontEnd) -> None:
    def calls(drawn: bytes) -> list[Call]:
        text = as_base64(drawn)
        return [
            with_mask(PHOTO, drawn),
            form(PHOTO, mask=text),
            form(PHOTO, mask=f"data:image/png;base64,{text}"),
            as_json({"image": PHOTO64, "mask": text}),
            grpc(data=PHOTO, mask=drawn),
        ]

    for good, bad in zip(calls(mask()), calls(mask((40, 48))), strict=True):
        assert front_end.ask(good).json["lens"] == 1
        assert "mask is 40 × 48 pixels, the photo is 48 × 40" in front_end.ask(bad).json["message"]
    kserve = {"instances": [{"b64": PHOTO64, "mask": as_base64(mask((9, 9)))}]}
    (found,) = front_end.ask(as_json(kserve)).json["predictions"]
    assert (found["type"], found["where"]) == ("bad_value", "instances[0].mask")


def test_segments_come_in_an_entry_of_explain_and_go_back_as_their_number(
    front_end: FrontEnd,
) -> None:
    halves = {"method": "feature_ablation", "segments": as_base64(mask())}
    for call, read in (
        (form(PHOTO, explain=json.dumps(halves)), codec.read_json),
        (as_json({"image": PHOTO64, "explain": [halves]}), codec.read_json),
        (form(PHOTO, explain=json.dumps(halves), format="npz"), codec.read_npz),
    ):
        (found,) = read(front_end.ask(call).body)["attributions"]
        assert found["params"]["segments"] == 2
        assert len(set(found["map"].ravel())) == 2
        assert (found["map"][:, 0] == found["map"][0, 0]).all()


def test_npz_is_answered_by_accept_and_by_format(front_end: FrontEnd) -> None:
    by_format = front_end.ask(form(PHOTO, explain="saliency", format="npz"))
    by_accept = front_end.ask(form(PHOTO, {**REST, **NPZ}, explain="saliency"))
    in_json = codec.read_json(front_end.ask(form(PHOTO, explain="saliency")).body)
    for answer in (by_format, by_accept):
        assert answer.content_type == "application/x-npz"
        document = codec.read_npz(answer.body)
        assert "encode" in document["cost"]["ms"]
        ours, theirs = (d["attributions"][0]["map"] for d in (document, in_json))
        assert np.array_equal(ours, theirs)
    assert front_end.ask(raw(PHOTO, **NPZ)).content_type == "application/json"


def test_a_rendered_map_comes_as_a_png_by_every_way(front_end: FrontEnd) -> None:
    in_json = front_end.ask(form(PHOTO, explain="grad_cam", render="true"))
    in_npz = front_end.ask(form(PHOTO, explain="grad_cam", render="true", format="npz"))
    last = front_end.ask(form(PHOTO, explain="grad_cam", render="true", stream="true")).frames[-1]
    (entry,) = in_json.json["attributions"]
    picture = Image.open(io.BytesIO(base64.b64decode(entry["image"])))
    left, top, right, bottom = in_json.json["input"]["crop"]
    assert (picture.format, picture.size) == ("PNG", (right - left, bottom - top))
    assert last["document"]["attributions"][0]["image"] == entry["image"]
    assert codec.read_npz(in_npz.body)["attributions"][0]["image"] == entry["image"]
    with np.load(io.BytesIO(in_npz.body)) as arrays:
        assert arrays["attributions/0/image"].tobytes() == base64.b64decode(entry["image"])


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_problem_has_its_status_and_is_json(front_end: FrontEnd, name: str) -> None:
    call, kind = BAD_CALLS[name]
    answer = front_end.ask(call)
    problem = answer.json
    assert (problem["type"], problem["code"]) == (kind, answer.status)
    assert answer.status == (413 if kind == "over_budget" else 400)
    assert answer.content_type == "application/json"
    assert answer.phrase
    assert {"message", "hint", "where"} <= problem.keys()
    assert problem["message"]


def test_the_capability_document_is_the_same_by_both_doors(front_end: FrontEnd) -> None:
    by_management = front_end.ask(describe()).json
    by_key = front_end.ask(form(describe="true")).json
    by_grpc = front_end.ask(grpc(describe=b"true")).json
    assert by_management == by_key == by_grpc
    Draft202012Validator(capability_schema()).validate(by_key)
    assert by_management["labels"][0] == "disc"
    assert by_management["limits"]["response_bytes"] == 6_000_000


def test_the_header_describe_changes_no_prediction(front_end: FrontEnd) -> None:
    spoofed = front_end.ask(raw(PHOTO, describe="True"))
    assert spoofed.body == front_end.ask(raw(PHOTO)).body


def test_kserve_gets_one_item_an_instance_and_its_problems_inline(front_end: FrontEnd) -> None:
    instances = [
        {"image_bytes": {"b64": PHOTO64}},
        {"b64": "%%%"},
        {"data": PHOTO64, "explain": "saliency"},
        {"image": PHOTO64, "explain": "gradcam"},
    ]
    answer = front_end.ask(as_json({"instances": instances}))
    assert (answer.status, answer.content_type) == (200, "application/json")
    bare, bad_image, lens, bad_method = answer.json["predictions"]
    assert bare == front_end.ask(raw(PHOTO)).json
    assert (bad_image["type"], bad_image["where"]) == ("bad_image", "instances[1].b64")
    assert lens["attributions"][0]["method"] == "saliency"
    assert bad_method["type"] == "unknown_method"
    explained = front_end.ask(as_json({"instances": instances[:1]}, **EXPLAIN)).json
    assert explained["explanations"][0]["attributions"][0]["method"] == "grad_cam"
    assert front_end.ask(as_json({"instances": []})).json == {"predictions": []}


@pytest.mark.parametrize("door", ["unary", "stream"])
def test_grpc_reads_the_code_in_the_body(front_end: FrontEnd, door: str) -> None:
    good = front_end.ask(grpc(door, data=PHOTO))
    bad = front_end.ask(grpc(door, data=PHOTO, explian=b"1"))
    frames = front_end.ask(grpc(door, data=PHOTO, explain=b"true", stream=b"true"))
    assert good.json == front_end.ask(raw(PHOTO)).json
    assert (bad.json["code"], bad.json["type"]) == (400, "unknown_key")
    assert (frames.json["code"], frames.json["where"]) == (400, "stream")


def test_an_answer_above_the_limit_is_a_problem_that_says_what_to_ask(model_folder: Any) -> None:
    config = {"servelens": {"response_bytes": 3000}}
    front_end = FrontEnd(load(model_folder, config))
    too_much = front_end.ask(form(PHOTO, explain="saliency,grad_cam", dtype="float32"))
    assert (too_much.status, too_much.json["type"]) == (413, "response_too_large")
    assert re.search(r"[\d,]+ bytes, the limit is 3,000", too_much.json["message"])
    assert "npz" in too_much.json["hint"]
    many = front_end.ask(as_json({"instances": [{"b64": PHOTO64, "top_k": 6}] * 20}))
    assert many.json["hint"] == "send fewer instances in one call"
    assert front_end.ask(form(PHOTO, top_k="1")).status == 200
    assert "max_response_size" in front_end.ask(describe()).json["hint"]
    last = front_end.ask(form(PHOTO, explain="saliency", dtype="float32", stream="true")).frames[-1]
    assert last["problem"]["type"] == "response_too_large"


def test_photos_differ_so_that_rows_cannot_be_mistaken(front_end: FrontEnd) -> None:
    assert len({front_end.ask(raw(png(seed))).body for seed in range(4)}) == 4
