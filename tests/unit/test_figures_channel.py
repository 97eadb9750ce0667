"""What is drawn of one channel: its unit's field, its filter, its layer's weights, its absence."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from servelens.engine.features.weights import weight_statistics
from servelens.protocol import Prediction, ReceptiveField, TheoreticalField
from servelens_dashboard.components.changes import change_table
from servelens_dashboard.figures import field, filters, knockout, look, weights
from servelens_dashboard.figures.atlas import draw as draw_atlas

RNG = np.random.default_rng(4)

# ------------------------------------------------------------------------------------ weights


def test_weights_are_drawn_as_they_were_counted() -> None:
    values = torch.tensor([-1.0, 0.0, 0.0, 0.001, 1.0])
    told = weight_statistics(values)
    (bars,) = weights.draw(told).data
    assert sum(bars.y) == 5
    for value in values.tolist():
        inside = [
            count
            for middle, width, count in zip(bars.x, bars.width, bars.y, strict=True)
            if abs(value - middle) <= width / 2 + 1e-9
        ]
        assert max(inside) > 0
    twin = weights.tell(told, "conv1")
    assert twin.caption == (
        "5 weights of conv1: mean 0.0002, std 0.707, -1 to 1; 60 % within 0.01 of zero."
    )
    assert sum(int(row["weights"]) for row in twin.rows) == 5


# ------------------------------------------------------------------------------------ filters


def picture(figure: Any) -> Any:
    (image,) = figure.layout.images
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.partition(",")[2]))))


def test_a_filter_is_drawn_in_the_colours_that_it_answers_to() -> None:
    """Red where red counts for it, cyan where red counts against it, grey where nothing does."""
    red, against, nothing = (np.zeros((3, 1, 2)) for _ in range(3))
    red[0] = 0.5
    against[0] = -0.02
    colours = filters.coloured(np.stack([red, against, nothing]))
    assert colours[0, 0, 0].tolist() == [255, 128, 128]
    assert colours[1, 0, 0].tolist() == [0, 128, 128]
    assert (colours[2] == 128).all()


@pytest.mark.parametrize("count", [1, 16, 64])
def test_every_filter_has_its_place_and_the_chosen_one_an_edge(count: int) -> None:
    kernels = RNG.normal(size=(count, 3, 3, 5))
    grid, drawn = filters.grid_of(kernels), filters.draw(kernels, chosen=count - 1)
    sheet, colours = picture(drawn), filters.coloured(kernels)
    assert sheet.shape[:2] == (grid.size[1], grid.size[0])
    (hover,) = drawn.data
    for number in range(count):
        left, top, right, bottom = grid.box(number)
        assert sheet[top, left, :3].tolist() == colours[number, 0, 0].tolist()
        assert sheet[bottom - 1, right - 1, :3].tolist() == colours[number, -1, -1].tolist()
        row, column = divmod(number, grid.columns)
        assert np.array(hover.z)[row, column] == number
    (edge,) = drawn.layout.shapes
    assert (edge.x0, edge.y0, edge.x1, edge.y1) == grid.box(count - 1)


def test_a_filter_over_many_inputs_shows_those_with_the_largest_weights() -> None:
    kernel = RNG.normal(size=(40, 3, 3))
    kernel[7] *= 10
    kernel[9] = 0
    atlas = filters.by_input(kernel)
    norms = [float(np.linalg.norm(kernel[place])) for place in atlas.numbers]
    assert atlas.numbers[0] == 7
    assert 9 not in atlas.numbers
    assert norms == sorted(norms, reverse=True)
    assert len(norms) == filters.MOST_INPUTS
    np.testing.assert_array_equal(atlas.maps[3], kernel[atlas.numbers[3]])
    assert atlas.signed
    assert draw_atlas(atlas).layout.images[0].source.startswith("data:image/png")
    told = filters.tell_by_input(atlas, 40).caption
    assert "the 24 inputs of 40 with the largest weights" in told
    assert "its inputs" in filters.tell_by_input(filters.by_input(kernel[:5]), 5).caption


def test_half_a_page_has_labels_that_can_be_read() -> None:
    """A label of the picture is as large as one of an atlas over the whole stage."""
    grid = filters.by_input(RNG.normal(size=(24, 3, 3))).grid
    assert grid.size[0] <= filters.ACROSS
    assert grid.strip


# --------------------------------------------------------------------------------------- field


def test_a_unit_is_told_with_what_it_can_see() -> None:
    known = TheoreticalField((23, 23), (4, 4), (1, 1), whole=False)
    told = ReceptiveField("layer", 5, "gradient", (3, 5), known, (0, 0, 9, 9), value=2.314)
    assert field.tell(told) == (
        "The unit at row 3, column 5 gives 2.31 and can see 23 × 23 pixels of the input."
    )
    whole = replace(told, theoretical=replace(known, whole=True), value=None)
    assert field.tell(whole) == "The unit at row 3, column 5 can see all that the model sees."
    unknown = replace(told, theoretical=None)
    assert "sees a part of the photo that is not known" in field.tell(unknown)


def test_a_box_is_light_within_dark() -> None:
    drawn = field.boxed(look.figure(look.LIGHT), (1, 2, 3, 4))
    dark, light = drawn.layout.shapes
    assert dark.line.width > light.line.width
    assert (light.x0, light.y0, light.x1, light.y1) == (1, 2, 3, 4)


# ------------------------------------------------------------------------------------ knock-out

LABELS = ("cat", "dog", "eel", "fox", "gnu", "hen", "owl")


def ranked(chances: dict[int, float]) -> tuple[Prediction, ...]:
    falling = sorted(chances.items(), key=lambda item: -item[1])
    return tuple(Prediction(i, LABELS[i], p, float(np.log(p))) for i, p in falling)


BEFORE = ranked({0: 0.5, 1: 0.2, 2: 0.1, 3: 0.08, 4: 0.06, 5: 0.04, 6: 0.02})
AFTER = ranked({5: 0.9, 0: 0.05, 1: 0.02, 2: 0.01, 3: 0.01, 4: 0.006, 6: 0.004})


def test_the_first_classes_and_whatever_takes_their_place_are_compared() -> None:
    rows = knockout.changes(BEFORE, AFTER)
    assert [row.before.label for row in rows] == ["cat", "dog", "eel", "fox", "gnu", "hen"]
    assert all(row.before.index == row.after.index for row in rows)
    assert (rows[0].probability, rows[-1].probability) == ("-0.45", "+0.86")
    assert rows[0].logit == f"{np.log(0.05 / 0.5):.3g}"
    looked_at = knockout.changes(BEFORE, AFTER, target=6)
    assert looked_at[-1].before.label == "owl"


def test_a_class_that_is_told_on_one_side_alone_is_not_compared() -> None:
    rows = knockout.changes(BEFORE[:3], AFTER[:2])
    assert [row.before.label for row in rows] == ["cat"]


def test_what_becomes_of_the_prediction_is_a_sentence() -> None:
    assert knockout.sentence(BEFORE, AFTER) == (
        "Without it the model says hen, 0.9, instead of cat, 0.5."
    )
    assert knockout.sentence(BEFORE, BEFORE) == (
        "Without it the model still says cat: 0.5 becomes 0.5."
    )
    assert knockout.sentence((), ()) == "The model says nothing."


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_change_has_the_sign_of_the_difference(before: float, after: float) -> None:
    change = knockout.Change(Prediction(0, "a", before, 0), Prediction(0, "a", after, 0))
    said = change.probability
    if said == "±0":
        assert abs(after - before) <= 0.5001e-4
    else:
        assert float(said) == pytest.approx(after - before, abs=1e-3)
        assert said.startswith("+" if after > before else "-")
    assert change.logit == "±0"


def test_a_table_of_changes_has_two_bars_a_class() -> None:
    drawn = change_table(knockout.changes(BEFORE, AFTER), "what became of it")
    bars = [part for part in drawn._traverse() if "bar" in getattr(part, "className", "")]
    assert [bar.style["width"] for bar in bars[:2]] == ["50.00%", "5.00%"]
    assert len(bars) == 2 * 6
