"""Forms and copied calls: from what a capability document declares to what is asked."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from servelens.engine.methods import METHODS
from servelens.protocol import to_wire
from servelens_dashboard.components.fields import (
    DRAWING,
    LAYER,
    method_form,
    read_value,
    with_field,
)
from servelens_dashboard.settings import Settings
from servelens_dashboard.snippets import as_curl, as_python
from servelens_dashboard.url_state import Entry, Named, View


def declared(name: str) -> dict[str, Any]:
    """As the capability document has it."""
    method = METHODS[name]
    return {
        "name": name,
        "title": method.title,
        "scope": method.scope,
        "summary": method.summary,
        "params": [to_wire(param.describe()) for param in method.params],
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_form_with_all_parameters_that_an_address_holds(name: str) -> None:
    method = declared(name)
    form = method_form(View(), Entry(name), method, ["stem", "stage1"])
    ids = [part.id for part in form._traverse() if isinstance(getattr(part, "id", None), dict)]
    wanted = [param["name"] for param in method["params"] if param["type"] != DRAWING]
    assert [ident["field"] for ident in ids if ident["field"] != LAYER] == wanted
    assert (LAYER in [ident["field"] for ident in ids]) == (method["scope"] == "layer")
    told = json.dumps(form, default=lambda part: part.to_plotly_json(), ensure_ascii=False)
    for param in method["params"]:
        is_told = f"{param['name']}: {param['help']}. A call from Python" in told
        assert is_told == (param["type"] == DRAWING)


@pytest.mark.parametrize("name", METHODS)
def test_a_form_that_was_only_drawn_changes_nothing(name: str) -> None:
    method, entry = declared(name), Entry(name)
    form = method_form(View(), entry, method, [])
    for part in form._traverse():
        if isinstance(getattr(part, "id", None), dict):
            value = getattr(part, "value", None)
            assert with_field(entry, method, part.id["field"], value) == entry


def test_a_changed_field_is_what_its_parameter_takes() -> None:
    method = declared("occlusion")
    entry = with_field(Entry("occlusion"), method, "window", 8.0)
    assert entry.request() == {"method": "occlusion", "window": 8}
    assert isinstance(entry.request()["window"], int)
    assert with_field(entry, method, "window", "") == Entry("occlusion")
    assert with_field(entry, method, "nonsense", 1) == entry
    assert with_field(Entry("grad_cam"), declared("grad_cam"), LAYER, "stem").layer == "stem"


def test_switches_are_words_on_the_page_and_booleans_in_a_request() -> None:
    assert read_value({"type": "boolean"}, "on") is True
    assert read_value({"type": "boolean"}, "off") is False


REQUEST = {"explain": [{"method": "grad_cam", "layer": "it's"}], "target": 2, "top_k": 1}


def test_a_copied_call_names_no_key_and_is_quoted() -> None:
    for settings in (Settings(), Settings(keys=Path("/some where/key_file.json"))):
        text = as_curl(settings, "http://127.0.0.1:9", Named("a b", "1.0"), "f" * 32, REQUEST)
        words = shlex.split(text)
        assert 'explain=[{"method": "grad_cam", "layer": "it\'s"}]' in words
        assert words[-1] == "http://127.0.0.1:8080/predictions/a%20b/1.0"
        assert f"http://127.0.0.1:9/photos/{'f' * 32}/original" in words


def test_copied_python_says_the_same() -> None:
    text = as_python(Settings(), "http://127.0.0.1:9", Named("m", "2.0"), "f" * 32, REQUEST)
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    call = next(c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "explain")
    assert ast.literal_eval(call.args[0]) == "m"
    assert ast.literal_eval(call.args[2]) == REQUEST["explain"]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert given == {"target": 2, "top_k": 1, "version": "2.0"}


def test_what_is_no_explanation_is_copied_as_what_it_is() -> None:
    asked = {"activations": {"layers": ["l"], "channels": [3]}, "top_k": 1}
    text = as_python(Settings(), "http://127.0.0.1:9", Named("m"), "f" * 32, asked)
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    call = next(c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "predict")
    assert len(call.args) == 2
    assert {k.arg: ast.literal_eval(k.value) for k in call.keywords} == asked
    words = shlex.split(as_curl(Settings(), "http://127.0.0.1:9", Named("m"), "f" * 32, asked))
    assert 'activations={"layers": ["l"], "channels": [3]}' in words


@pytest.mark.parametrize("made", [as_curl, as_python])
def test_a_dashboards_password_is_asked_of_the_environment(made: Any) -> None:
    call = "http://127.0.0.1:9", Named("m"), "f" * 32, REQUEST
    with_one = made(Settings(password="sesame open"), *call)
    assert "SERVELENS_DASHBOARD_PASSWORD" in with_one and "sesame" not in with_one
    assert "PASSWORD" not in made(Settings(), *call)
