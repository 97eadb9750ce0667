"""Results as notebooks and figures show them: every picture with its words, and no script."""

from __future__ import annotations

import builtins
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from client_fixtures.documents import HEAT, activation, attribution, document, photo
from client_fixtures.markup import EVIL, Seen
from matplotlib.figure import Figure

from servelens.client import MissingExtra, NothingToShow, Result
from servelens.client.panels import panels


def test_a_notebook_shows_the_photo_each_map_and_the_numbers() -> None:
    seen = Seen(Result.of(document(), photo())._repr_html_())
    pictures = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert len(pictures) == 3
    assert all(str(p["src"]).startswith("data:image/png;base64,") for p in pictures)
    assert [str(p["alt"]).partition(":")[0] for p in pictures] == [
        "what the model saw", "grad_cam at stem for disc", "activations of stem",
    ]  # fmt: skip
    for words in ("shapes: disc", "75.00%", "0 to 1 (unsigned)", "1 forward, 1 backward", "0.0833"):
        assert words in seen.text, words


def test_what_has_no_map_says_why_in_its_place() -> None:
    told = {"type": "unsupported", "message": "needs a map", "hint": None, "code": 200, "where": ""}
    result = Result.of(document(attributions=[attribution(map=None, problem=told)]))
    assert "needs a map" in Seen(result.attributions[0]._repr_html_()).text


def test_what_one_unit_sees_is_a_picture_too() -> None:
    seen = {"layer": "stem", "channel": 2, "mode": "gradient", "position": [1, 0], "map": HEAT}
    title = "what the unit at row 1, column 0 of channel 2 of stem sees"
    told = document(attributions=[], activations=[], receptive_field=seen)
    photo_seen, unit = panels(Result.of(told, photo()), 448)
    assert (photo_seen.title, unit.title) == ("what the model saw", title)
    assert (unit.caption, unit.picture.size if unit.picture else None) == (
        "0 to 1 (unsigned)",
        (448, 448),
    )
    why = {"type": "unsupported", "message": "it has no places", "hint": None, "where": None}
    told["receptive_field"] = {**seen, "position": None, "map": None, "problem": why}
    (none,) = panels(Result.of(told), 448)
    assert (none.title, none.caption, none.picture) == (
        "what the unit of channel 2 of stem sees",
        "it has no places",
        None,
    )


def test_what_predictions_become_is_told_of_the_first_classes_of_either_side() -> None:
    def ranked(order: list[int]) -> list[dict[str, Any]]:
        return [
            {"index": i, "label": f"class {i}", "probability": 1 / (rank + 2), "logit": 9.5 - rank}
            for rank, i in enumerate(order)
        ]

    thirty = list(range(30))
    told = {"before": ranked(thirty), "after": ranked(thirty[::-1])}
    seen = Seen(Result.of(document(ablation=told))._repr_html_())
    assert "What becomes of the predictions" in seen.text
    cells = " ".join(seen.text.split())
    assert "class 0 50.00% 9.5 3.23% -19.5" in cells
    assert "class 29 3.23% -19.5 50.00% 9.5" in cells
    assert "class 9 " in cells and "class 20 " in cells
    assert "class 10 " not in cells and "class 19 " not in cells
    only_before = {"before": ranked([3]), "after": ranked([4])}
    cells = " ".join(Seen(Result.of(document(ablation=only_before))._repr_html_()).text.split())
    assert "class 3 50.00% 9.5 – –" in cells
    assert "class 4 – – 50.00% 9.5" in cells
    why = {"type": "unsupported", "message": "it has no channels", "hint": None, "where": None}
    failed = {"before": [], "after": [], "problem": why}
    assert "it has no channels" in Seen(Result.of(document(ablation=failed))._repr_html_()).text


def test_weights_are_told_by_their_statistics_or_why_there_are_none() -> None:
    statistics = {
        "count": 1728, "mean": 0.0123, "std": 0.5, "norm": 20.8, "min": -1.5, "max": 1.25,
        "near_zero": 0.02, "near_zero_at_most": 0.015,
        "histogram": {"counts": [1], "edges": [-1.5, 1.25]},
    }  # fmt: skip
    why = {"type": "unsupported", "message": "pooling has none", "hint": None, "where": None}
    weights = [
        {"layer": "stem", "shape": [64, 3, 3, 3], "statistics": statistics},
        {"layer": "pool", "problem": why},
    ]
    cells = " ".join(Seen(Result.of(document(weights=weights))._repr_html_()).text.split())
    assert "Weights of stem" in cells
    for words in ("shape 64 × 3 × 3 × 3", "count 1,728", "mean 0.0123", "norm 20.8", "max 1.25"):
        assert words in cells
    assert "Weights of pool pooling has none" in cells


def test_what_a_server_says_is_text_and_never_a_tag() -> None:
    target = {"index": 1, "label": EVIL}
    evil = document(
        model={"name": EVIL, "version": EVIL, "digest": EVIL},
        predictions=[{"index": 1, "label": EVIL, "probability": 1, "logit": 1}],
        attributions=[attribution(target=target, layer=EVIL)],
        activations=[activation(layer=EVIL)],
        problems=[{"type": "unsupported", "message": EVIL, "hint": EVIL, "where": EVIL}],
    )
    seen = Seen(Result.of(evil, photo())._repr_html_())
    assert {tag for tag, _ in seen.tags} <= {
        "div", "p", "b", "figure", "img", "figcaption", "br",
        "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert seen.text.count("<script>") >= 6


def test_a_figure_has_an_axes_for_each_panel_with_its_words_and_a_colour_bar() -> None:
    before = dict(mpl.rcParams)
    result = Result.of(document(), photo())
    figure = result.to_matplotlib()
    assert isinstance(figure, Figure)
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().splitlines()[0] for axes in drawn] == [
        panel.title for panel in panels(result, 448)
    ]
    bars = [axes for axes in figure.axes if not axes.get_title()]
    assert [axes.get_ylim() for axes in bars] == [(0, 1), (0, 11)]
    figure.canvas.draw()
    assert dict(mpl.rcParams) == before
    pyplot = __import__("matplotlib.pyplot").pyplot
    assert pyplot.get_fignums() == []


def test_a_dollar_in_a_label_is_no_formula() -> None:
    target = {"index": 1, "label": r"a $\frac{ b"}
    figure = Result.of(document(attributions=[attribution(target=target)])).to_matplotlib()
    figure.canvas.draw()


def test_what_cannot_be_drawn_says_so() -> None:
    nothing = Result.of(document(attributions=[], activations=[activation(maps=None)]))
    with pytest.raises(NothingToShow, match="activations of stem: no numbers were asked for"):
        nothing.to_matplotlib()
    with pytest.raises(NothingToShow, match="no maps, and its photo is not known"):
        Result.of(document(attributions=[], activations=[])).to_matplotlib()


def test_a_missing_library_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.startswith(("matplotlib", "safetensors")):
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    result = Result.of(document())
    with pytest.raises(MissingExtra, match="figures need matplotlib.*'servelens.notebook.'"):
        result.to_matplotlib()
    with pytest.raises(MissingExtra, match="files need safetensors"):
        result.save(tmp_path / "a.safetensors")


def test_of_very_many_channels_64_are_drawn_and_the_rest_is_counted() -> None:
    maps = np.ones((100, 2, 2), np.float32)
    many = activation(maps=maps, next={"channels": [100, 101]})
    (panel,) = panels(Result.of(document(activations=[many])).activations[0], 448)
    assert panel.caption == (
        "64 of 100 channels on one scale, 1 to 1 (unsigned); 2 more on the next page"
    )
