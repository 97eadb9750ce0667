"""What TorchServe does to requests on their way to a worker, and what must not come of it."""

from __future__ import annotations

import pytest
import requests
from by_hand import post
from lens_caller import OCTETS, Call, Lens, as_json, form, raw
from lens_pictures import photo

PHOTO = photo(0)
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("said", ["True", "true", "False"])
@pytest.mark.parametrize("header", ["describe", "explain", "Explain"])
def test_a_header_that_the_stock_code_obeys_changes_no_prediction(
    lens: Lens, header: str, said: str
) -> None:
    """Facts 1 and 2: the stock code asks row 0's headers what to do with the whole batch."""
    answer = lens.ask(raw(PHOTO, headers={**OCTETS, header: said}))
    assert answer.json() == lens.bare(PHOTO)


def test_the_describing_header_alone_is_a_request_without_an_image(lens: Lens) -> None:
    """Fact 2: only the management API's own call, which sends no field at all, is answered."""
    assert lens.problem(raw(b"", headers={"describe": "True"}))["type"] == "no_image"


@pytest.mark.parametrize("name", ["accept", "ACCEPT", "aCCept"])
def test_headers_are_read_however_they_are_spelt(lens: Lens, name: str) -> None:
    """Fact 10."""
    answer = lens.ask(form(PHOTO, headers={name: "text/html, Application/X-NPZ;q=0.5"}, top_k=1))
    assert answer.headers["Content-Type"] == "application/x-npz"


def test_a_forms_text_is_read_as_json_where_it_parses(lens: Lens) -> None:
    """Fact 11: it arrives as bytes without a type."""
    document = lens.document(form(PHOTO, explain="grad_cam, saliency", target="2"))
    assert [entry["method"] for entry in document["attributions"]] == ["grad_cam", "saliency"]
    assert {entry["target"]["index"] for entry in document["attributions"]} == {2}
    by_label = lens.document(form(PHOTO, explain=True, target="star"))
    assert by_label["attributions"][0]["target"] == {"index": 2, "label": "star"}
    assert lens.document(form(PHOTO, id="2"))["id"] == "2"


def test_a_forms_broken_json_is_text(lens: Lens) -> None:
    """Fact 11."""
    problem = lens.problem(form(PHOTO, explain='{"method": "grad_cam"'))
    assert (problem["type"], problem["where"]) == ("unknown_method", "explain.method")


def test_a_forms_part_may_say_that_it_is_json(lens: Lens) -> None:
    """Fact 11: TorchServe then parses it itself."""
    call = form(PHOTO)
    call.how["files"]["explain"] = ("blob", b'{"method": "saliency"}', "application/json")
    (entry,) = lens.document(call)["attributions"]
    assert entry["method"] == "saliency"


def test_a_forms_bytes_that_are_no_text_are_a_problem(lens: Lens) -> None:
    problem = lens.problem(form(PHOTO, target=b"\xff\xfe".decode("latin-1")))
    assert problem["type"] == "unknown_class"
    call = form(PHOTO)
    call.how["files"]["target"] = (None, b"\xff\xfe")
    assert lens.problem(call)["type"] in {"bad_value", "unknown_class"}


def test_what_json_cannot_say_is_read_as_torchserve_reads_it(lens: Lens) -> None:
    """Fact 30: it merges keys that stand twice and takes NaN before a handler sees either."""
    json_type = {"Content-Type": "application/json"}
    twice = b'{"describe": false, "describe": true}'
    assert lens.ask(raw(twice, headers=json_type)).json() == lens.ask(form(describe=True)).json()
    problem = lens.problem(raw(b'{"budget_ms": NaN}', headers=json_type))
    assert (problem["type"], problem["where"]) == ("bad_value", "budget_ms")


def test_of_a_forms_field_that_comes_twice_torchserve_keeps_the_last(lens: Lens) -> None:
    """Its service.py makes a dictionary of them before a handler sees any."""
    call = form(PHOTO)
    for values in (("1", "2"), ("2", "1"), ("no number", "2")):
        fields = [*call.how["files"].items(), *(("top_k", (None, value)) for value in values)]
        answer = lens.ask(Call(call.path, {"files": fields}))
        assert len(lens.read_document(answer)["predictions"]) == int(values[-1])


def test_json_that_torchserve_leaves_alone_has_no_key_twice(lens: Lens) -> None:
    body = b'{"describe": false, "describe": true}'
    for call in (raw(body), form(PHOTO, target='{"class": 1, "class": 2}')):
        problem = lens.problem(call)
        assert problem["type"] == "bad_value"
        assert "stands more than once in a JSON object" in problem["message"]


def test_an_image_of_the_type_that_curl_makes_up_gets_a_hint(lens: Lens) -> None:
    """Fact 31: `curl --data-binary @cat.jpg` arrives as a row with nothing in it."""
    problem = lens.problem(raw(b"\xff\xd8\xff\xe0 JFIF and so on", headers=URLENCODED))
    assert problem["type"] == "no_image"
    assert "--data-binary" in problem["hint"]
    assert "curl -T" in problem["hint"]


def test_what_is_no_urlencoded_form_never_reaches_a_worker(lens: Lens) -> None:
    """Such an image with `=` and a `%` that begins no byte is TorchServe's own 500."""
    answer = lens.ask(raw(b"\xff\xd8=%zz", headers=URLENCODED))
    assert (answer.status_code, answer.json()["type"]) == (500, "ErrorDataDecoderException")


def test_a_real_form_may_be_urlencoded_and_then_has_no_image(lens: Lens) -> None:
    assert lens.problem(raw(b"top_k=2", headers=URLENCODED))["type"] == "no_image"
    described = lens.ask(raw(b"describe=true", headers=URLENCODED))
    assert described.json() == lens.ask(form(describe=True)).json()


HOSTILE_IDS = ["a\r\nSet-Cookie: x\r\n\r\n", "\x00\x1b[31m", "☃\u2028\u202e", "[METRICS]x:1|#a:b"]


@pytest.mark.parametrize("said", HOSTILE_IDS)
def test_an_id_can_be_any_text_and_is_only_text(lens: Lens, said: str) -> None:
    """Fact 8: a worker dies of a header with a line break in it, so that no value becomes one."""
    for call in (form(PHOTO, id=said), as_json(PHOTO, id=said)):
        answer = lens.ask(call)
        assert lens.read_document(answer)["id"] == said
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("said", ["x" * 129, "\ud800", 5, None, ["a"]])
def test_what_is_no_id_is_a_problem_or_left_out(lens: Lens, said: object) -> None:
    """Fact 8."""
    answer = lens.ask(as_json(PHOTO, id=said, top_k=1))
    if said is None:
        assert lens.read_document(answer)["id"] is None
    else:
        assert lens.read_problem(answer)["where"] == "id"


def test_names_of_fields_are_told_but_not_trusted(lens: Lens) -> None:
    """Fact 8."""
    for name in ("ex\nplain", "☃" * 5000, "__class__", "%s%n", "\x00"):
        problem = lens.problem(as_json(PHOTO, **{name: 1}))
        assert problem["type"] == "unknown_key"
        assert len(problem["message"]) < 200
        assert len(problem["where"]) <= 60


@pytest.mark.parametrize("length", [100, 7_000, 100_000])
def test_a_long_header_is_let_through_or_refused_by_the_front_end(lens: Lens, length: int) -> None:
    """Fact 8."""
    answer = lens.ask(raw(PHOTO, headers={**OCTETS, "X-Long": "y" * length}))
    if length < 8_000:
        assert answer.json() == lens.bare(PHOTO)
    else:
        assert (answer.status_code, answer.json()["message"]) == (400, "Invalid HTTP message.")


@pytest.mark.parametrize(
    "line",
    [b"X-Weird: a\xff\xe2\x98\x83\x01b", b"X-Folded: a\r\n  b", b"explain: True\r\nexplain: False"],
    ids=["bytes", "folded", "twice"],
)
def test_a_header_that_no_client_writes_changes_nothing(lens: Lens, line: bytes) -> None:
    """Fact 8: written by hand, for the libraries refuse to."""
    told = post(lens, "/predictions/tiny", [line], PHOTO)
    assert (told.status, told.content) == (200, lens.ask(raw(PHOTO)).content)


def test_a_request_above_the_servers_limit_is_refused_before_a_worker_sees_it(lens: Lens) -> None:
    """config.properties: max_request_size."""
    try:
        answer = lens.ask(raw(b"\xff" * 17_000_000))
    except requests.ConnectionError:
        return  # The front end may close the connection while the body is still being sent.
    assert answer.status_code == 413
