"""What a TorchServe row asks, in each of the shapes in which it can arrive."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from servelens.protocol import Drawing, MethodRequest, Problem, Request
from servelens.torchserve.rows import MOST_INSTANCES, Question, RowQuestion, is_grpc, read_row

JPEG = b"\xff\xd8\xff\xe0 not really"
PNG = b"\x89PNG\r\n\x1a\n not really"
PNG64 = base64.b64encode(PNG).decode()
PREDICT = {"Host": "localhost", "explain": "False"}
EXPLAIN = {"Host": "localhost", "explain": "True"}
NPZ = {"accept": "application/x-npz"}
GRPC = {"data": {"content-type": ""}}


def typed(content_type: str, name: str = "body", **headers: str) -> dict[str, Any]:
    """Headers as TorchServe mixes them: a part's own under its name, then the request's."""
    return {name: {"content-type": content_type}, **PREDICT, **headers}


def only(question: RowQuestion) -> Question | Problem:
    assert question.listed is None
    (part,) = question.parts
    return part


def asked(row: Any, headers: Any = PREDICT) -> Question:
    part = only(read_row(row, headers))
    assert isinstance(part, Question), part
    return part


def refused(row: Any, headers: Any = PREDICT) -> Problem:
    part = only(read_row(row, headers))
    assert isinstance(part, Problem), part
    assert part.code == 400
    return part


@pytest.mark.parametrize("name", ["body", "data", "image"])
@pytest.mark.parametrize("image", [PNG, bytearray(PNG), PNG64, f"data:image/png;base64,{PNG64}"])
def test_a_bare_image_is_asked_what_the_stock_handler_answers(name: str, image: Any) -> None:
    assert asked({name: image}) == Question("bare", Request(image=PNG))


def test_a_bare_image_at_the_explanations_door_is_asked_for_the_default_plan() -> None:
    assert asked({"body": PNG}, EXPLAIN) == Question("lens", Request(image=PNG, explain=None))


@pytest.mark.parametrize("row", [{}, {"body": b""}, {"data": bytearray()}, {"body": ""}])
def test_a_row_without_an_image_is_told_how_to_send_one(row: Any) -> None:
    found = refused(row)
    assert (found.type, found.where) == ("no_image", "image")
    assert found.hint is not None
    assert "curl -T" in found.hint
    assert "curl -F" in found.hint


def test_a_form_has_the_image_as_a_file_and_every_other_field_as_a_key() -> None:
    row = {
        "data": PNG,
        "explain": b"grad_cam,saliency",
        "target": bytearray(b"7"),
        "top_k": "3",
        "id": b"0042",
    }
    assert asked(row) == Question(
        "lens",
        Request(
            image=PNG,
            explain=(
                MethodRequest("grad_cam", where="explain[0]"),
                MethodRequest("saliency", where="explain[1]"),
            ),
            targets=(7,),
            top_k=3,
            id="0042",
        ),
    )


def test_a_form_s_quoted_number_is_a_label() -> None:
    assert asked({"data": PNG, "target": b'"7"'}).request.targets == ("7",)


def test_a_part_that_was_sent_as_json_is_taken_as_it_was_parsed() -> None:
    method = {"method": "grad_cam", "layer": "conv"}
    found = asked({"data": PNG, "explain": method}).request.explain
    assert found == (MethodRequest("grad_cam", ("conv",), where="explain"),)


def test_a_form_field_that_is_no_text_is_named() -> None:
    found = refused({"data": PNG, "target": b"\xff\xfe"})
    assert (found.type, found.where) == ("bad_value", "target")


@pytest.mark.parametrize(
    "mask", [PNG, bytearray(PNG), PNG64.encode(), f"data:image/png;base64,{PNG64}".encode(), PNG64]
)
def test_a_form_may_carry_a_mask_as_a_file_or_as_text(mask: Any) -> None:
    assert asked({"data": PNG, "mask": mask}).request.mask == Drawing(PNG, "mask")
    assert asked({"mask": mask, "image": PNG}).request.mask == Drawing(PNG, "mask")


def test_a_mask_in_json_is_base64_or_a_data_url() -> None:
    for text in (PNG64, f"data:image/png;base64,{PNG64}"):
        assert asked({"body": {"image": PNG64, "mask": text}}).request.mask == Drawing(PNG, "mask")
    assert asked({"body": {"image": PNG64, "mask": None, "top_k": 1}}).request.mask is None


@pytest.mark.parametrize("text", ["%%%", PNG64[:-1], "data:image/png,raw", "größe"])
def test_a_mask_that_is_no_base64_is_named(text: str) -> None:
    for row in ({"body": {"image": PNG64, "mask": text}}, {"data": PNG, "mask": text}):
        found = refused(row)
        assert (found.type, found.where) == ("bad_image", "mask")


def test_a_form_may_carry_its_image_as_a_data_url() -> None:
    url = f"data:image/png;base64,{PNG64}".encode()
    assert asked({"image": url, "top_k": b"1"}).request.image == PNG


def test_a_json_body_has_the_same_keys() -> None:
    body = {"image": PNG64, "explain": [{"method": "saliency", "target": 1}], "seed": 3}
    assert asked({"body": body}) == Question(
        "lens",
        Request(
            image=PNG,
            explain=(MethodRequest("saliency", targets=(1,), where="explain[0]"),),
            seed=3,
        ),
    )


@pytest.mark.parametrize("name", ["image", "data", "body"])
def test_a_json_body_with_nothing_but_an_image_is_bare(name: str) -> None:
    assert asked({"body": {name: PNG64}}) == Question("bare", Request(image=PNG))


@pytest.mark.parametrize("text", [PNG64[:20] + "\r\n" + PNG64[20:], f"DATA:;BASE64,{PNG64}"])
def test_base64_may_be_wrapped_and_a_data_url_be_spelt_as_one_likes(text: str) -> None:
    assert asked({"body": {"image": text}}).request.image == PNG


@pytest.mark.parametrize(
    "image",
    [
        PNG64[:-1],
        PNG64 + "A",
        PNG64.replace("/", "_").replace("+", "-") + "-_",
        "жук=",
        "not base64!",
        "data:image/png,raw",
        "data:image/png;base64",
        f"data:{'x' * 500};base64,{PNG64}",
        7,
        True,
        [1, 2],
        {"b64": 7},
        {"b64": PNG64, "more": 1},
    ],
)
def test_an_image_that_is_no_base64_is_a_bad_image(image: Any) -> None:
    found = refused({"body": {"image": image}})
    assert found.type == "bad_image"
    assert found.where is not None
    assert found.where.startswith("image")


@pytest.mark.parametrize("image", [None, "", {"b64": ""}, {"b64": None}])
def test_an_empty_image_is_none(image: Any) -> None:
    assert refused({"body": {"image": image}}).type == "no_image"


def test_an_image_that_is_given_twice_is_refused() -> None:
    for row in ({"data": PNG, "image": PNG}, {"body": {"data": PNG64, "image": PNG64}}):
        found = refused(row)
        assert found.type == "bad_value"
        assert "image and as data" in found.message


@pytest.mark.parametrize("body", [[1, 2], 7, 1.5, True, None])
def test_a_json_body_that_is_no_object_is_refused(body: Any) -> None:
    assert refused({"body": body}, typed("application/json")).type == "bad_json"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"image": ', "Expecting value"),
        (b"  [1, 2", "Expecting ',' delimiter"),
        (b'{"budget_ms": NaN}', "NaN is not JSON"),
        (b'{"a":' * 100_000, "nests too deeply"),
        (b'{"top_k": ' + b"9" * 5000 + b"}", "the number is too long"),
        (b'{"a": "\xff"}', "invalid start byte"),
        ('{"image": ', "Expecting value"),
    ],
)
def test_json_that_torchserve_could_not_parse_is_refused_with_the_reason(
    body: Any, reason: str
) -> None:
    found = refused({"body": body})
    assert found.type == "bad_json"
    assert reason in found.message


def test_json_in_which_a_key_stands_twice_is_refused_and_named() -> None:
    for body in (b'{"top_k": 1, "top_k": 1}', b'{"instances": [{"top_k": 1, "top_k": 2}]}'):
        found = refused({"body": body})
        assert found.type == "bad_value"
        assert found.message == "'top_k' stands more than once in a JSON object"


def test_what_is_declared_json_and_is_neither_that_nor_an_image_is_refused_as_json() -> None:
    assert refused({"body": b"explain=1"}, typed("application/json")).type == "bad_json"


@pytest.mark.parametrize("image", [PNG, JPEG])
def test_an_image_that_is_declared_json_is_an_image(image: bytes) -> None:
    assert asked({"body": image}, typed("application/json")).request.image == image


def test_json_is_read_where_torchserve_leaves_it_to_the_handler() -> None:
    body = json.dumps({"image": PNG64, "top_k": 2}).encode()
    for headers in (PREDICT, typed("application/json"), typed("application/x-unheard-of")):
        assert asked({"body": body}, headers).request.top_k == 2


def test_json_that_came_as_a_urlencoded_form_is_recognised() -> None:
    found = refused({'{"explain": true, "image": "a': b'b"}'})
    assert found.type == "bad_json"
    assert found.hint is not None
    assert "application/json" in found.hint


def test_an_unknown_key_is_refused_in_a_form_as_in_json() -> None:
    for row in ({"data": PNG, "explian": b"1"}, {"body": {"image": PNG64, "explian": 1}}):
        found = refused(row)
        assert (found.type, found.where) == ("unknown_key", "explian")
        assert found.hint == "did you mean 'explain'?"


def test_each_row_has_its_own_door_whatever_its_form_fields_are_called() -> None:
    # TorchServe stores a part's content type under the part's name, beside the headers.
    field = {"explain": {"content-type": ""}, "Accept": {"content-type": ""}}
    part = asked({"data": PNG, "explain": b"false"}, {**field, "Host": "localhost"})
    assert part == Question("lens", Request(image=PNG))


@pytest.mark.parametrize("value", ["True", "true", "1", ""])
def test_the_header_describe_is_ignored_where_there_is_anything_to_answer(value: str) -> None:
    assert asked({"body": PNG}, {**PREDICT, "describe": value}).kind == "bare"


def test_the_management_door_asks_for_the_capability_document() -> None:
    assert asked({}, {"Host": "localhost", "describe": "True"}).kind == "describe"


@pytest.mark.parametrize("row", [{"describe": b"true"}, {"body": {"describe": True}}])
def test_the_key_describe_needs_no_image(row: Any) -> None:
    assert asked(row).kind == "describe"
    assert asked(row, EXPLAIN).kind == "describe"


def test_describe_false_is_no_question_for_it() -> None:
    assert refused({"describe": b"false"}).type == "no_image"
    assert asked({"data": PNG, "describe": b"false"}).kind == "lens"


@pytest.mark.parametrize(
    "header",
    [
        {"Accept": "application/x-npz"},
        {"accept": "Application/X-NPZ; q=0.9"},
        {"ACCEPT": "application/json, application/x-npz"},
    ],
)
def test_accept_counts_only_where_there_is_a_lens_key(header: dict[str, str]) -> None:
    with_key = {"data": PNG, "top_k": b"1"}
    assert asked(with_key, {**PREDICT, **header}).request.format == "npz"
    assert asked({"body": PNG}, {**EXPLAIN, **header}).request.format == "npz"
    assert asked({"body": PNG}, {**PREDICT, **header}) == Question("bare", Request(image=PNG))


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/x-npzz", ""])
def test_another_accept_changes_nothing(accept: str) -> None:
    row = {"data": PNG, "top_k": b"1"}
    assert asked(row, {**PREDICT, "Accept": accept}).request.format == "json"


def test_the_key_format_beats_accept() -> None:
    row = {"data": PNG, "format": b"json"}
    assert asked(row, {**PREDICT, **NPZ}).request.format == "json"


def test_a_stream_is_json_whatever_is_accepted() -> None:
    row = {"data": PNG, "stream": b"true"}
    question = read_row(row, {**PREDICT, **NPZ})
    assert question.streamed is not None
    assert question.streamed.format == "json"


def test_only_a_lens_answer_is_streamed() -> None:
    assert read_row({"data": PNG, "stream": b"false"}, PREDICT).streamed is None
    assert read_row({"describe": b"true", "stream": b"true"}, PREDICT).streamed is None
    assert read_row({}, PREDICT).streamed is None


def test_grpc_is_known_by_its_lack_of_headers() -> None:
    assert is_grpc({})
    assert is_grpc(GRPC)
    assert not is_grpc(PREDICT)


def test_grpc_fields_are_a_form() -> None:
    row = {"data": PNG, "explain": b"saliency"}
    assert asked(row, GRPC).request.explain == (MethodRequest("saliency", where="explain"),)


def test_grpc_refuses_streams_for_a_second_message_hangs_its_worker() -> None:
    found = refused({"data": PNG, "stream": b"true"}, GRPC)
    assert (found.type, found.where) == ("bad_value", "stream")


IMAGES_OF_AN_INSTANCE: list[dict[str, Any]] = [
    {"image": PNG64},
    {"data": PNG64},
    {"b64": PNG64},
    {"image_bytes": {"b64": PNG64}},
]


@pytest.mark.parametrize("headers", [PREDICT, EXPLAIN])
def test_a_kserve_body_asks_once_for_each_instance(headers: dict[str, str]) -> None:
    question = read_row({"body": {"instances": IMAGES_OF_AN_INSTANCE}}, headers)
    explains = headers is EXPLAIN
    assert question.listed == ("explanations" if explains else "predictions")
    expected = Question(
        "lens" if explains else "bare", Request(image=PNG, explain=None if explains else ())
    )
    assert question.parts == (expected,) * 4


def test_keys_beside_the_instances_hold_for_all_and_an_instance_s_own_win() -> None:
    instances = [{"b64": PNG64}, {"b64": PNG64, "top_k": 1}]
    question = read_row({"body": {"instances": instances, "top_k": 2, "seed": 5}}, PREDICT)
    found = [(p.request.top_k, p.request.seed) for p in question.parts if isinstance(p, Question)]
    assert found == [(2, 5), (1, 5)]


@pytest.mark.parametrize(
    ("instance", "kind", "where"),
    [
        ({}, "no_image", "instances[1].image"),
        ({"b64": "%"}, "bad_image", "instances[1].b64"),
        ({"image_bytes": {"b64": "%"}}, "bad_image", "instances[1].image_bytes.b64"),
        ({"b64": PNG64, "explian": 1}, "unknown_key", "instances[1].explian"),
        ({"b64": PNG64, "format": "npz"}, "bad_value", "instances[1].format"),
        ({"b64": PNG64, "stream": True}, "bad_value", "instances[1].stream"),
        ({"b64": PNG64, "explain": [{"method": 1}]}, "bad_value", "instances[1].explain[0].method"),
        ({"b64": PNG64, "image": PNG64}, "bad_value", "instances[1].b64"),
        (PNG64, "bad_value", "instances[1]"),
        (None, "bad_value", "instances[1]"),
    ],
)
def test_a_bad_instance_is_a_problem_in_its_place(instance: Any, kind: str, where: str) -> None:
    instances = [{"b64": PNG64}, instance, {"b64": PNG64}]
    question = read_row({"body": {"instances": instances}}, {**PREDICT, **NPZ})
    first, second, third = question.parts
    assert first == third == Question("bare", Request(image=PNG))
    assert isinstance(second, Problem)
    assert (second.type, second.where) == (kind, where)


@pytest.mark.parametrize("instances", [{}, "x", None, [{}] * (MOST_INSTANCES + 1)])
def test_instances_that_are_no_short_list_are_refused(instances: Any) -> None:
    found = refused({"body": {"instances": instances}})
    assert (found.type, found.where) == ("bad_value", "instances")
    assert str(MOST_INSTANCES) in found.message


def test_no_instances_are_no_questions() -> None:
    assert read_row({"body": {"instances": []}}, PREDICT) == RowQuestion((), "predictions")


@pytest.mark.parametrize("row", [PNG, PNG64])
def test_a_row_that_an_envelope_took_apart_is_its_body(row: Any) -> None:
    assert asked(row).request.image == PNG
