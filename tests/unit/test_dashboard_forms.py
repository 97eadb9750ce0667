"""Forms, parts and copied calls: from what a capability document declares to what is asked."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servelens.client import Result
from servelens.engine.methods import METHODS
from servelens_dashboard.components.fields import LAYER, method_form, read_value, with_field
from servelens_dashboard.parts import MOST_PARTS, part_request, parts_of, together
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
        "params": [param.describe() for param in method.params],
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_form_with_all_its_parameters(name: str) -> None:
    method = declared(name)
    form = method_form(View(), Entry(name), method, ["stem", "stage1"])
    ids = [part.id for part in form._traverse() if isinstance(getattr(part, "id", None), dict)]
    wanted = [param["name"] for param in method["params"]]
    assert [ident["field"] for ident in ids if ident["field"] != LAYER] == wanted
    assert (LAYER in [ident["field"] for ident in ids]) == (method["scope"] == "layer")


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


@pytest.mark.parametrize(
    ("cost", "in_parts", "of"), [(226, True, 8), (226, False, 1), (1, True, 1), (9999, True, 16)]
)
def test_slow_methods_are_asked_for_in_parts(cost: float, in_parts: bool, of: int) -> None:
    assert parts_of({"relative_cost": cost, "comes_in_parts": in_parts}) == of <= MOST_PARTS
    assert part_request({"a": 1}, 0, 1) == {"a": 1}
    assert part_request({"a": 1}, 2, 8) == {"a": 1, "part": {"index": 2, "of": 8}}


def part(values: Any, weight: Any) -> Result:
    shown = {"method": "occlusion", "map": np.array(values), "weight": np.array(weight)}
    return Result.of(
        {
            "lens": 1,
            "id": None,
            "model": {"name": "m", "version": "1", "digest": "d"},
            "input": {"width": 2, "height": 1, "crop": [0, 0, 2, 1], "size": [1, 2]},
            "predictions": [],
            "activations": [],
            "attributions": [shown],
            "cost": {"forwards": 3, "backwards": 0, "ms": {"compute": 5.0}},
        }
    )


def test_parts_are_a_mean_by_their_weights() -> None:
    whole = together([part([[2.0, 0.0]], [[1.0, 0.0]]), part([[4.0, 0.0]], [[2.0, 0.0]])])
    assert whole.attributions[0].to_numpy().tolist() == [[2.0, 0.0]]
    assert whole.cost.forwards == 6
    assert whole.cost.ms == {"compute": 10.0}
    one_number = together([part([[2.0, 6.0]], 1.0), part([[4.0, 0.0]], 2.0)])
    assert one_number.attributions[0].to_numpy().tolist() == [[2.0, 2.0]]


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
