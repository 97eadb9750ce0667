"""What becomes of a call when the server refuses, breaks, is silent or sends us elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from client_fixtures.documents import document, photo
from client_fixtures.loopback import (
    NO_WAITS_S,
    Deed,
    breaks_off,
    falls_silent,
    hangs_up,
    refused_port,
    says,
    says_bytes,
    sends_lines,
    serving,
    stays_silent,
)

from servelens import codec
from servelens.client import (
    BadAnswer,
    ClientError,
    LensProblem,
    NotConnected,
    Refused,
    Server,
    Tokens,
    TooSlow,
    Unreachable,
    transport,
)

KEYS = Tokens({"inference": "in", "management": "man"})
SHORT_S = 0.3
PROBLEM = {
    "code": 400,
    "type": "unknown_layer",
    "message": "there is no layer 'layr4'",
    "hint": "did you mean 'layer4'?",
    "where": "explain[0].layer",
}


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "WAITS_S", NO_WAITS_S)


def ping(url: str, **limits: float) -> str:
    with Server(url, keys=KEYS, **limits) as server:
        return server.health()


def predict(url: str, **limits: float) -> Any:
    with Server(url, keys=KEYS, **limits) as server:
        return server.predict("shapes", photo())


def test_a_connection_that_cannot_be_made_is_tried_three_times_and_named() -> None:
    url = refused_port()
    with pytest.raises(NotConnected, match=f"{url}/ping did not answer: no connection could be"):
        ping(url)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_get_whose_connection_broke_is_asked_again(failures: int) -> None:
    with serving(*[hangs_up] * failures, says({"status": "Healthy"})) as script:
        assert ping(script.url) == "Healthy"
        assert len(script.heard) == failures + 1


def test_a_get_is_given_up_after_three_tries() -> None:
    with serving(hangs_up) as script:
        with pytest.raises(Unreachable, match="did not answer") as caught:
            ping(script.url)
        assert len(script.heard) == 3
    assert not isinstance(caught.value, (NotConnected, TooSlow))


@pytest.mark.parametrize("deed", [hangs_up, breaks_off(b'{"lens": 1')])
def test_a_post_that_the_server_may_have_seen_is_never_repeated(deed: Deed) -> None:
    with serving(deed, says({})) as script:
        with pytest.raises(Unreachable, match="did not answer") as caught:
            predict(script.url)
        assert len(script.heard) == 1
    assert not isinstance(caught.value, NotConnected)


@pytest.mark.parametrize("ask", [ping, predict])
@pytest.mark.parametrize("deed", [stays_silent, falls_silent(b'{"status"')])
def test_silence_is_named_and_never_asked_again(ask: Callable[..., Any], deed: Deed) -> None:
    with serving(deed) as script:
        with pytest.raises(TooSlow, match="did not answer within 0.3 s"):
            ask(script.url, timeout_s=SHORT_S)
        assert len(script.heard) == 1


def test_a_redirect_is_refused_and_takes_nothing_along() -> None:
    with (
        serving(says({"status": "Healthy"})) as thief,
        serving(says({}, 307, Location=f"{thief.url}/ping")) as script,
    ):
        with pytest.raises(Refused) as caught:
            ping(script.url)
        assert caught.value.status == 307
        assert thief.heard == []


def test_cookies_are_not_kept() -> None:
    with serving(says({"status": "Healthy"}, Set_Cookie="who=you; Path=/")) as script:
        with Server(script.url, keys=KEYS) as server:
            server.health()
            server.health()
        assert all("Cookie" not in headers for _, _, headers, _ in script.heard)


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says({"status": "Healthy"})) as script, serving(says({})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert ping(script.url) == "Healthy"
        assert proxy.heard == []


def test_each_door_gets_its_own_key_and_no_other() -> None:
    with serving(says({"status": "Healthy"}), says({"models": []})) as script:
        with Server(script.url, script.url, KEYS) as server:
            server.health()
            server.models()
        sent = [headers["Authorization"] for _, _, headers, _ in script.heard]
        assert sent == ["Bearer in", "Bearer man"]


def test_what_servelens_says_is_a_problem_of_its_type_with_its_hint() -> None:
    with serving(says(PROBLEM, 400)) as script, pytest.raises(LensProblem) as caught:
        predict(script.url)
    assert caught.value.status == 400
    assert caught.value.problem == PROBLEM
    assert str(caught.value) == (
        "the server refused (400): there is no layer 'layr4'; did you mean 'layer4'?"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"code": 404, "type": "ModelNotFoundException", "message": "not found"}', "not found"),
        (b'"no"', "no"),
        (b"[1, 2]", "[1, 2]"),
        (b"<html>busy</html>", "<html>busy</html>"),
        (b"", "Service Unavailable"),
        (b"\xff\xfe" * 3000, None),
    ],
)
def test_any_other_refusal_keeps_its_status_and_at_most_a_few_words(
    body: bytes, reason: str | None
) -> None:
    with (
        serving(says_bytes(body, "application/json", 503)) as script,
        pytest.raises(Refused) as caught,
    ):
        predict(script.url)
    assert type(caught.value) is Refused
    assert caught.value.status == 503
    assert len(caught.value.reason) <= 500
    assert reason is None or caught.value.reason == reason


def test_a_full_queue_is_told_beside_torchserves_own_reason() -> None:
    said = {
        "code": 503,
        "type": "ServiceUnavailableException",
        "message": 'Model "m" has no worker to serve inference request. Please use scale workers '
        "API to add workers.",
    }
    with (
        serving(says_bytes(json.dumps(said).encode(), "application/json", 503)) as script,
        pytest.raises(Refused, match=r"to add workers\. Or its queue is full, .* ask again later"),
    ):
        predict(script.url)


def test_a_refusal_that_breaks_off_is_an_error_of_ours_too() -> None:
    with (
        serving(breaks_off(b'{"code"', 400)) as script,
        Server(script.url, keys=KEYS) as server,
        pytest.raises(ClientError, match="did not answer"),
    ):
        list(server.stream("shapes", photo()))


@pytest.mark.parametrize(
    "url",
    ["nowhere", "http://", "http://127.0.0.1:99999", "ftp://127.0.0.1", "http://[", "http://a b"],
)
def test_what_is_no_address_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable):
        ping(url)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b"\xff\x00", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"lens": 1}', "application/x-npz"),
        (b"PK\x03\x04 no archive", "application/x-npz"),
        (codec.write_json({"lens": {"dtype": "O", "shape": [1], "min": 0, "max": 0, "data": ""}}),
         "application/json"),
        (codec.write_json({"lens": {"dtype": "float32", "shape": [9], "min": 0, "max": 0,
                                    "data": "AAAA"}}), "application/json"),
        (b'{"lens": NaN}', "application/json"),
        (b'{"lens": 1e999}', "application/json"),
        (b'{"lens": ' + b"9" * 400 + b"}", "application/json"),
        (b"[]", "application/json"),
        (b'"lens"', "application/json"),
    ],
)  # fmt: skip
def test_a_success_that_is_no_document_is_a_bad_answer(body: bytes, kind: str) -> None:
    with serving(says_bytes(body, kind)) as script, pytest.raises(BadAnswer):
        predict(script.url)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["attributions", "unheard_of"])
def test_a_tensor_that_is_not_finite_is_a_bad_answer(value: float, key: str) -> None:
    import numpy as np

    packed, arrays = codec.pack_npz(document())
    packed[key] = {"dtype": "float32", "shape": [1], "min": 0, "max": 0, "array": "odd"}
    arrays["odd"] = np.array([value], np.float32)
    body = codec.write_npz(packed, arrays)
    with (
        serving(says_bytes(body, codec.NPZ_TYPE)) as script,
        pytest.raises(BadAnswer, match="not finite"),
    ):
        predict(script.url)


def test_frames_come_one_by_one_and_what_breaks_off_is_an_error() -> None:
    lines = [codec.write_json({"frame": "progress", "done": i}) for i in range(3)]
    with (
        serving(sends_lines(*lines), sends_lines(*lines, ends=False)) as script,
        Server(script.url, keys=KEYS) as server,
    ):
        assert [frame["done"] for frame in server.stream("shapes", photo())] == [0, 1, 2]
        frames = server.stream("shapes", photo())
        assert [next(frames)["done"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(Unreachable):
            next(frames)


def test_a_line_that_is_no_frame_is_a_bad_answer() -> None:
    with (
        serving(sends_lines(b"so far so good")) as script,
        Server(script.url, keys=KEYS) as server,
        pytest.raises(BadAnswer, match="a frame"),
    ):
        list(server.stream("shapes", photo()))


def test_a_request_is_a_form_of_its_keys_as_json_and_the_photo_as_it_is() -> None:
    packed = codec.pack_json(document())
    with serving(says(packed)) as script:
        with Server(script.url, keys=KEYS) as server:
            server.explain("shapes", photo(), ["grad_cam"], target="7", id="7", version="2.0")
        ((verb, path, headers, body),) = script.heard
    assert (verb, path) == ("POST", "/explanations/shapes/2.0")
    assert headers["Content-Type"].startswith("multipart/form-data")
    parts = body.split(b"--" + headers["Content-Type"].partition("boundary=")[2].encode())
    told = {
        part.partition(b'name="')[2].partition(b'"')[0].decode(): part.partition(b"\r\n\r\n")[2][
            :-2
        ]
        for part in parts[1:-1]
    }
    assert told.pop("data") == photo()
    assert told.pop("id") == b"7"
    assert {key: json.loads(value) for key, value in told.items()} == {
        "explain": ["grad_cam"],
        "target": "7",
    }


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb"])
def test_a_name_that_would_lead_elsewhere_is_never_sent(name: str) -> None:
    with serving(says({"models": []})) as script:
        with Server(script.url, script.url, KEYS) as server:
            for ask in (
                lambda: server.predict(name, photo()),
                lambda: server.describe(name),
                lambda: server.describe("shapes", name),
                lambda: server.unregister(name),
            ):
                with pytest.raises(ClientError, match="is no name"):
                    ask()
        assert script.heard == []


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "ä", "a b", "a%2fb"])
def test_what_is_odd_in_a_name_stays_in_its_segment(name: str) -> None:
    from urllib.parse import unquote

    with serving(says([])) as script:
        with Server(script.url, script.url, KEYS) as server, pytest.raises(BadAnswer):
            server.describe(name)
        ((_, path, _, _),) = script.heard
    assert path.count("/") == 2
    assert unquote(path) == f"/models/{name}"


def test_management_without_an_address_says_so() -> None:
    with (
        Server("http://127.0.0.1:1", keys=KEYS) as server,
        pytest.raises(Unreachable, match="needs the management address"),
    ):
        server.models()


def version_with_a_worker(status: str) -> list[dict[str, object]]:
    worker = {"id": "9000", "status": status, "pid": 1, "gpu": False, "memoryUsage": 0}
    words = {"modelName": "a", "modelVersion": "1.0", "modelUrl": "a.mar", "workers": [worker]}
    return [{**words, "batchSize": 1, "maxBatchDelay": 100}]


def test_whoever_registers_or_scales_is_answered_when_the_workers_are_ready() -> None:
    """TorchServe says so a moment before it does."""
    loading, ready = (says(version_with_a_worker(word)) for word in ("UNLOADING", "READY"))
    with serving(says({"status": "done"}), loading, loading, ready) as script:
        with Server(script.url, script.url, KEYS) as server:
            server.register("a.mar", "a")
        assert [verb for verb, _, _, _ in script.heard] == ["POST", "GET", "GET", "GET"]
    with serving(says({"status": "done"}), loading, ready) as script:
        with Server(script.url, script.url, KEYS) as server:
            server.scale("a", 1)
        assert [verb for verb, _, _, _ in script.heard] == ["PUT", "GET", "GET"]


@pytest.mark.slow
def test_a_worker_that_never_gets_ready_holds_nobody_up_for_long() -> None:
    with (
        serving(says({"status": "done"}), says(version_with_a_worker("UNLOADING"))) as script,
        Server(script.url, script.url, KEYS) as server,
    ):
        server.register("a.mar", "a")
        assert not server.describe("a").is_ready


def test_models_come_from_all_pages() -> None:
    pages = [
        {"nextPageToken": "1", "models": [{"modelName": "a", "modelUrl": "a.mar"}]},
        {"models": [{"modelName": "b", "modelUrl": "b.mar"}]},
    ]
    with serving(*map(says, pages)) as script:
        with Server(script.url, script.url, KEYS) as server:
            assert server.models() == ["a", "b"]
        assert "next_page_token=1" in script.heard[1][1]


def test_pages_of_models_that_never_end_are_given_up() -> None:
    endless = {"nextPageToken": "1", "models": [{"modelName": "a", "modelUrl": "a.mar"}]}
    with (
        serving(says(endless)) as script,
        Server(script.url, script.url, KEYS) as server,
        pytest.raises(BadAnswer, match="end"),
    ):
        server.models()
