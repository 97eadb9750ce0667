"""What is given to be kept: a model's own answer to the question that is expected, in each format.

Each part that is declared has its question here, so that a new one fails until it has.
"""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_fixtures.documents import assert_same
from client_fixtures.markup import EVIL, Seen
from dashboard_fixtures.doors import MODELS, PHOTO_NAME, Doors
from dashboard_fixtures.exploring import session
from jsonschema import Draft202012Validator

from servelens import codec
from servelens.client import Result
from servelens.protocol import to_wire
from servelens_dashboard.export_parts import PARTS
from servelens_dashboard.exports import KINDS

DEPTH = list(dict.fromkeys(session().describe()["default_layers"]))
EXPLAINED = {"explain": [{"method": "grad_cam", "layer": "last"}], "target": 2, "top_k": 6}
PREDICTED = {"top_k": 6}
QUESTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("explain", "map"): EXPLAINED,
    ("explain", "card"): {**EXPLAINED, "trust": True},
    ("explain", "predictions"): PREDICTED,
    ("explore", "network"): {"describe": True},
    ("explore", "atlas"): {
        "activations": {"layers": ["last"], "channels": 12, "sort_by": "variance"},
        "top_k": 1,
    },
    ("explore", "statistics"): {"activations": {"layers": ["last"], "maps": False}, "top_k": 1},
    ("explore", "channel"): {
        "activations": {"layers": ["last"], "channels": [5], "statistics": False},
        "top_k": 1,
    },
    ("explore", "unit"): {
        "receptive_field": {"layer": "last", "channel": 5, "position": [1, 2]},
        "top_k": 1,
    },
    ("explore", "knock-out"): {"ablate": [{"layer": "last", "channels": [5]}], "top_k": 6},
    ("explore", "weights"): {"weights": {"layers": ["last"], "channels": [5]}},
    ("explore", "journey"): {"activations": {"layers": DEPTH, "channels": 1}, "top_k": 1},
    ("explore", "predictions"): PREDICTED,
    ("compare", "map"): EXPLAINED,
    ("compare", "predictions"): PREDICTED,
    ("compare", "statistics"): {"activations": {"layers": DEPTH, "maps": False}, "top_k": 1},
    ("compare", "steps"): {"activations": {"layers": DEPTH, "channels": 1}, "top_k": 1},
}
VIEWS = {
    "explain": "model=tiny&class=2&method=grad_cam@last",
    "explore": "model=tiny&layer=last&channel=5&at=1,2&out=1&sort=variance",
    "compare": "model=tiny&model=twin&class=2&method=grad_cam@last",
}
NETWORK = ("explore", "network")
DECLARED = [(page, name) for page, parts in PARTS.items() for name in parts]
OF_ANSWERS = [part for part in DECLARED if part != NETWORK]
ALONE = [part for part in DECLARED if part[0] != "compare"]


@pytest.fixture(scope="module")
def doors() -> Doors:
    return Doors()


def given(doors: Doors, kind: str, page: str, name: str) -> bytes:
    told = doors.get(f"/export/{kind}/{page}?{VIEWS[page]}&photo={PHOTO_NAME}&part={name}")
    assert told.status == 200, told.text
    assert told.headers["content-type"] == KINDS[kind].media_type
    named = told.headers["content-disposition"]
    assert f"-{name}" in named and named.endswith(f'.{kind}"')
    return told.body


def answers(doors: Doors, page: str, name: str) -> list[Result]:
    """What each model says to the question, asked as any caller asks."""
    count = len(MODELS) if page == "compare" else 1
    return [doors.models.ask(None, PHOTO_NAME, QUESTIONS[page, name])] * count


def schema(root: Path, name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((root / "docs" / "schemas" / name).read_text()))


def offered(kind: str) -> list[tuple[str, str]]:
    return [(page, name) for page, name in OF_ANSWERS if kind in PARTS[page][name].formats]


@pytest.mark.parametrize(("page", "name"), OF_ANSWERS)
def test_a_json_has_the_answer_to_the_parts_own_question(
    doors: Doors, root: Path, page: str, name: str
) -> None:
    body = given(doors, "json", page, name)
    read = schema(root, "document.json")
    told = json.loads(body)
    expected = answers(doors, page, name)
    results = told["results"] if len(expected) > 1 else [told]
    restored = codec.read_json(body)
    arrays = restored["results"] if len(expected) > 1 else [restored]
    for saved, numbers, result in zip(results, arrays, expected, strict=True):
        assert saved["asked"] == QUESTIONS[page, name]
        read.validate(saved["answer"])
        assert_same(numbers["answer"], to_wire(result.document))


@pytest.mark.parametrize(("page", "name"), offered("npz"))
def test_an_npz_has_every_array_of_the_answer(doors: Doors, page: str, name: str) -> None:
    body = given(doors, "npz", page, name)
    expected = answers(doors, page, name)
    several = len(expected) > 1
    with np.load(io.BytesIO(body), allow_pickle=False) as saved:
        names = {"document"}
        for place, result in enumerate(expected):
            within = f"results/{place}/answer" if several else "answer"
            numbers = result.to_numpy()
            assert numbers
            for array, values in numbers.items():
                np.testing.assert_array_equal(saved[f"{within}/{array}"], values)
            names |= {f"{within}/{array}" for array in numbers}
        assert set(saved.files) == names


def test_what_has_no_array_is_offered_as_no_npz(doors: Doors) -> None:
    for page, name in OF_ANSWERS:
        has_arrays = any(answer.to_numpy() for answer in answers(doors, page, name))
        assert has_arrays == ("npz" in PARTS[page][name].formats), (page, name)


@pytest.mark.parametrize(("page", "name"), offered("html"))
def test_a_report_says_what_was_asked_and_what_the_model_says(
    doors: Doors, page: str, name: str
) -> None:
    text = given(doors, "html", page, name).decode()
    photos = len(answers(doors, page, name))
    asked = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert [json.loads(unescape(each)) for each in asked] == [QUESTIONS[page, name]] * photos
    for result in answers(doors, page, name):
        assert result.title in text
        assert all(prediction.label in text for prediction in result.predictions[:1])
    assert "<script" not in text
    pictures = {"map": 1, "card": 1, "atlas": 1, "channel": 1, "unit": 1, "journey": len(DEPTH)}
    pictures["steps"] = len(DEPTH)
    assert text.count("<img") == photos * (1 + pictures.get(name, 0))


def test_a_report_of_a_knock_out_has_both_sides_and_one_of_weights_their_statistics(
    doors: Doors,
) -> None:
    (result,) = answers(doors, "explore", "knock-out")
    text = given(doors, "html", "explore", "knock-out").decode()
    assert result.ablation is not None
    assert result.ablation.before[0].logit != result.ablation.after[0].logit
    for side in (result.ablation.before, result.ablation.after):
        assert len(side) == 6
        for prediction in side:
            assert f"<td>{prediction.probability:.2%}</td><td>{prediction.logit:.3g}</td>" in text
    (result,) = answers(doors, "explore", "weights")
    (weights,) = result.weights or ()
    text = given(doors, "html", "explore", "weights").decode()
    assert weights.statistics is not None
    assert "Weights of last" in text
    for value in (weights.statistics.mean, weights.statistics.norm, weights.statistics.max):
        assert f"<td>{value:.3g}</td>" in text


def test_the_network_is_given_as_the_model_describes_itself(doors: Doors, root: Path) -> None:
    told = json.loads(given(doors, "json", *NETWORK))
    assert told == json.loads(json.dumps(session().describe()))
    schema(root, "capability.json").validate(told)


# -------------------------------------------------------------------------------------- calls


def told_call(doors: Doors, kind: str, page: str, name: str) -> str:
    view = VIEWS[page].replace("&model=twin", "")
    told = doors.get(f"/calls/{kind}/{page}?{view}&photo={PHOTO_NAME}&part={name}")
    assert told.status == 200, told.text
    return told.text


@pytest.mark.parametrize(("page", "name"), DECLARED)
def test_a_call_for_the_shell_asks_the_parts_own_question(
    doors: Doors, page: str, name: str
) -> None:
    words = shlex.split(told_call(doors, "curl", page, name))
    fields = [words[place + 1] for place, word in enumerate(words) if word == "-F"]
    asked = dict(field.split("=", 1) for field in fields)
    original = f"http://dash:8050/photos/{PHOTO_NAME}/original"
    assert (asked.pop("data", None) == "@-") == (original in words) == ((page, name) != NETWORK)
    assert {key: json.loads(value) for key, value in asked.items()} == QUESTIONS[page, name]


@pytest.mark.parametrize(("page", "name"), DECLARED)
def test_a_call_in_python_asks_the_same(doors: Doors, page: str, name: str) -> None:
    tree = ast.parse(told_call(doors, "python", page, name))
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("capability", "explain", "predict")
    ]
    assert isinstance(call.func, ast.Attribute)
    asked = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    if call.func.attr == "explain":
        asked["explain"] = ast.literal_eval(call.args[2])
    if call.func.attr == "capability":
        asked["describe"] = True
    assert json.loads(json.dumps(asked)) == QUESTIONS[page, name]
    assert ast.literal_eval(call.args[0]) == "tiny"


def test_several_models_are_no_single_call(doors: Doors) -> None:
    told = doors.get(f"/calls/curl/compare?{VIEWS['compare']}&photo={PHOTO_NAME}&part=steps")
    assert (told.status, told.text) == (
        400,
        "Each of these models is a call of its own; copy that of one of them.",
    )


# ----------------------------------------------------------------------------- what there is not


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/export/exe/explain?part=map", "Nothing is saved as 'exe'; there are html, npz, json."),
        ("/export/npz/explain?part=predictions", "The part predictions is not saved as npz; there"),
        ("/export/html/explore?part=network", "The part network is not saved as html; there are"),
        ("/export/json/compare?part=atlas", "The page compare has no part 'atlas'; there are map,"),
        ("/export/json/explain", "The page explain has no part ''; there are map, card,"),
        (f"/export/json/explain?part={EVIL}", "has no part '\"><script>"),
        ("/export/json/models?part=map", "The page models has nothing to save or to copy."),
        ("/export/json/explain?model=nobody&part=map", "No model is registered as 'nobody'"),
        ("/calls/curl/explain?part=grad_cam", "The page explain has no part 'grad_cam'"),
    ],
)
def test_what_there_is_not_is_told_in_plain_text(doors: Doors, address: str, said: str) -> None:
    told = doors.get(address)
    assert (told.status, told.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert said in told.text
    assert "content-disposition" not in told.headers


def test_a_fault_of_ours_is_told_and_found_in_the_log(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(doors.models, "ask", fail)
    told = doors.get(f"/export/json/explain?{VIEWS['explain']}&photo={PHOTO_NAME}&part=map")
    assert told.status == 500
    assert told.text.startswith("The dashboard itself failed at this. Retry; its log says more")
    assert "secret" not in told.text
    assert told.text.split()[-1].rstrip(".") in caplog.text


def test_whatever_a_model_says_is_text_in_a_report(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result,) = answers(doors, "explore", "knock-out")
    document = to_wire(result.document)
    for side in (document["predictions"], *document["ablation"].values()):
        for prediction in side or ():
            prediction["label"] = EVIL
    evil = Result.of(document, None, to_wire(result.origin.asked if result.origin else {}))
    monkeypatch.setattr(doors.models, "ask", lambda *_: evil)
    seen = Seen(evil._repr_html_())
    assert "script" not in {tag for tag, _ in seen.tags}
    assert seen.text.count(EVIL) > 6
    assert b"<script" not in given(doors, "html", "explore", "knock-out")
