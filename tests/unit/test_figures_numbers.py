"""Bars, lines and sentences: what is drawn is what was measured, and the words say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.protocol import Activation, Prediction, Statistics
from servelens_dashboard.figures import curves, depth, predictions
from servelens_dashboard.figures.curves import Curves
from servelens_dashboard.figures.look import DARK, LIGHT

CATS = (Prediction(2, "cat", 0.9, 3.0), Prediction(0, "<b>dog</b>", 0.1, 0.8))
OTHERS = (Prediction(7, "cat", 0.6, 1.0), Prediction(2, "cat", 0.4, 0.5))


# -------------------------------------------------------------------------------- predictions


def bars(figure: Any) -> list[list[tuple[str, float]]]:
    """Of each model from top to bottom, what is written beside a bar and how long it is."""
    names = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    return [
        [(names[row], share) for row, share in sorted(zip(trace.y, trace.x, strict=True))]
        for trace in figure.data
    ]


def test_classes_are_in_one_order_in_every_model_and_a_label_is_no_class() -> None:
    drawn = predictions.draw({"one": CATS, "two": OTHERS[::-1], "three": CATS[::-1]})
    dog = "&lt;b&gt;dog&lt;/b&gt;"
    assert bars(drawn) == [
        [("cat", 0.9), (dog, 0.1)],
        [("cat", 0.4), ("cat", 0.6)],
        [("cat", 0.9), (dog, 0.1)],
    ]


def test_each_model_has_rows_of_its_own_under_its_name() -> None:
    drawn = predictions.draw({"one": CATS, "<i>two</i>": OTHERS})
    titles = {note.text: note.y for note in drawn.layout.annotations}
    assert list(titles) == ["one", "&lt;i&gt;two&lt;/i&gt;"]
    (one, two), (first, second) = titles.values(), drawn.data
    assert one < min(first.y) < max(first.y) < two < min(second.y)
    assert drawn.layout.yaxis.range[0] > max(second.y)
    assert not predictions.draw({"one": CATS}).layout.annotations


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_chosen_class_alone_has_the_accent_and_a_click_gives_its_index(theme: Any) -> None:
    (trace,) = predictions.draw({"one": CATS}, chosen=0, theme=theme).data
    assert trace.marker.color == (theme.fill, theme.accent)
    assert [point[0] for point in trace.customdata] == [2, 0]


def test_predictions_are_told_with_logits() -> None:
    told = predictions.tell({"one": CATS})
    assert told.caption == "cat, 0.9."
    assert told.rows[0] == {"class": "cat", "index": 2, "probability": 0.9, "logit": 3.0}
    both = predictions.tell({"one": CATS, "two": OTHERS})
    assert both.caption == "one: cat, 0.9; two: cat, 0.6."
    assert [row["model"] for row in both.rows] == ["one", "one", "two", "two"]


def test_no_predictions_are_said() -> None:
    assert predictions.draw({"one": ()}).layout.annotations[0].text == "no predictions"
    assert predictions.tell({"one": ()}).caption == "No predictions."


# -------------------------------------------------------------------------------------- depth


def layer(name: str, mean: float, active: int = 5) -> Activation:
    statistics = Statistics(mean, 0.5, 0.25, 9.0, -1.0, active, 10, (7, 7), 3)
    return Activation(name, (10, 7, 7), statistics)


LAYERS = (layer("stem", 1.0), Activation("pool"), layer("stage.1", 2.0), layer("head", 4.0, 10))


def test_each_measure_is_a_line_through_the_layers_that_have_statistics() -> None:
    drawn = depth.draw({"one": LAYERS}, chosen="stage.1")
    assert [list(trace.y) for trace in drawn.data] == [
        [1, 2, 4], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.5, 0.5, 1],
    ]  # fmt: skip
    assert [trace.yaxis for trace in drawn.data] == ["y", "y2", "y3", "y4"]
    assert list(drawn.data[0].customdata) == ["stem", "stage.1", "head"]
    assert drawn.layout.xaxis.ticktext == ("stem", "1", "head")
    (mark,) = drawn.layout.shapes
    assert mark.x0 == mark.x1 == 1


def test_models_of_several_depths_are_set_at_matching_depth() -> None:
    drawn = depth.draw({"deep": LAYERS, "flat": LAYERS[:3]})
    places = {trace.name: list(trace.x) for trace in drawn.data}
    assert places == {"deep": [0, 1, 2], "flat": [0, 2]}
    single = depth.draw({"deep": LAYERS, "one": LAYERS[:1]})
    assert list(single.data[1].x) == [0]


def test_of_many_layers_some_names_are_written_the_last_among_them() -> None:
    many = [layer(f"block.{number}", number) for number in range(57)]
    names = depth.draw({"one": many}).layout.xaxis.ticktext
    assert len(names) <= depth.MOST_NAMES
    assert names[-1] == "56"


def test_statistics_are_told() -> None:
    told = depth.tell({"one": LAYERS})
    assert told.caption == (
        "Statistics of 3 layers, share of exact zeros from stem: 0.25 to head: 0.25."
    )
    assert depth.tell({"one": LAYERS, "two": LAYERS[2:]}).caption == (
        "Statistics of one, 3 layers, share of exact zeros from stem: 0.25 to head: 0.25; "
        "of two, 2 layers, share of exact zeros from stage.1: 0.25 to head: 0.25."
    )
    assert told.rows[2]["active channels"] == 10
    assert depth.tell({"one": LAYERS[1:2]}).caption == "No statistics were asked for."
    drawn = depth.draw({"one": LAYERS[1:2]})
    assert drawn.layout.annotations[0].text == "no statistics were asked for"


# ------------------------------------------------------------------------------------- curves

FALL, RISE = (1.0, 0.5, 0.0), (0.0, 1.0, 1.0)
KNOWN = Curves(FALL, RISE, (1.0, 1.0, 0.0), FALL[::-1])


def test_the_marked_and_the_random_curves_stand_over_the_share_of_the_photo() -> None:
    drawn = curves.draw(KNOWN)
    random_out, marked_out, random_in, marked_in = (list(trace.y) for trace in drawn.data)
    assert (tuple(marked_out), tuple(random_out)) == (KNOWN.deletion, KNOWN.random_deletion)
    assert (tuple(marked_in), tuple(random_in)) == (KNOWN.insertion, KNOWN.random_insertion)
    assert {tuple(trace.x) for trace in drawn.data} == {(0, 0.5, 1)}
    assert [trace.showlegend for trace in drawn.data] == [True, True, False, False]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_the_area_under_a_curve_is_by_trapezoids(curve: list[float]) -> None:
    places = np.linspace(0, 1, len(curve))
    slow = sum(
        (places[i + 1] - places[i]) * (curve[i] + curve[i + 1]) / 2 for i in range(len(curve) - 1)
    )
    assert curves.area(curve) == pytest.approx(slow)


def test_curves_are_told() -> None:
    told = curves.tell(KNOWN)
    assert told.caption.startswith(
        "Removing what the map marks first leaves 0.5 of the score on average, at random 0.75;"
    )
    assert told.rows[1] == {
        "share of the photo": 0.5, "deletion": 0.5, "insertion": 1.0,
        "random deletion": 1.0, "random insertion": 0.5,
    }  # fmt: skip
    for bad in ((FALL, FALL[:2]), (FALL[:1], FALL[:1])):
        with pytest.raises(ValueError, match="as many steps each"):
            Curves(bad[0], bad[1], bad[0], bad[0])
