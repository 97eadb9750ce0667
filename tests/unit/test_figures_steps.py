"""Maps at matching depth: each number in its place, and in one column what is as deep."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from servelens.client import Activation
from servelens.palettes import palette
from servelens.protocol import Channel
from servelens_dashboard.figures import steps
from servelens_dashboard.figures.look import DARK, LIGHT
from servelens_dashboard.figures.sprites import EDGE


def step(name: str, channel: int, values: Any) -> Activation:
    maps = np.asarray(values, float)[None]
    return Activation(name, maps.shape, None, (Channel(channel, float(maps.mean())),), maps)


STEM = step("stem", 3, [[0, 1, 2, 4], [4, 2, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
MIDDLE = step("<b>stage1</b>", 7, [[0, 10], [20, 40]])
LAST = step("stage2", 0, [[5]])
THREE = (STEM, MIDDLE, LAST)
# A layer of numbers, and one that has none to give.
BARE = (Activation("head", (10,), maps=np.ones(10)), Activation("pool"))


def pixels(figure: Any, name: str) -> Any:
    (image,) = [image for image in figure.layout.images if image.name == name]
    data = base64.b64decode(image.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def cell(figure: Any, columns: int, column: int) -> Any:
    left, top, right, bottom = steps.grid_of(THREE, columns).box(column)
    return pixels(figure, "heat")[top:bottom, left:right, :3]


def test_each_map_has_a_cell_and_its_own_scale() -> None:
    drawn = steps.draw(THREE, 3)
    colours = palette(signed=False)
    for column, shown in enumerate(THREE):
        values = shown.to_numpy()[0]
        height, width = values.shape
        seen = cell(drawn, 3, column)
        for row in range(height):
            for across in range(width):
                y, x = (
                    (2 * place + 1) * side // (2 * count)
                    for place, side, count in zip(
                        (row, across), seen.shape, (height, width), strict=False
                    )
                )
                level = round(255 * values[row, across] / values.max())
                assert list(seen[y, x]) == list(colours[level])


def test_with_numbers_below_zero_the_whole_row_is_signed() -> None:
    drawn = steps.draw((STEM, step("gelu", 1, [[-2, 0], [0, 1]]), LAST), 3)
    assert drawn.layout.meta["heat"]["signed"] is True
    colours = palette(signed=True)
    assert list(cell(drawn, 3, 1)[0, 0]) == list(colours[0])
    assert list(cell(drawn, 3, 2)[0, 0]) == list(colours[255])


def test_a_map_finer_than_its_cell_is_shown_by_means() -> None:
    values = np.zeros((448, 448))
    values[0, 0] = 4.0
    values[:2, 2:4] = 4.0
    drawn = steps.draw((step("fine", 0, values),), 1)
    seen, colours = pixels(drawn, "heat"), palette(signed=False)
    for column, share in enumerate((0.25, 1.0, 0.0)):
        assert list(seen[0, column, :3]) == list(colours[round(255 * share)])


# ------------------------------------------------------------------------------- matching depth


@pytest.mark.parametrize(
    ("count", "columns", "stand"),
    [
        (3, 3, [0, 1, 2]),
        (2, 5, [0, 4]),
        (3, 5, [0, 2, 4]),
        (3, 6, [0, 2, 5]),
        (4, 6, [0, 2, 3, 5]),
        (1, 4, [0]),
        (0, 4, []),
    ],
)
def test_a_model_of_fewer_steps_is_spread_over_the_columns(
    count: int, columns: int, stand: list[int]
) -> None:
    assert steps.columns_of(count, columns) == stand


@given(st.integers(2, 40), st.integers(0, 40))
def test_no_two_steps_share_a_column_and_none_is_far_from_its_depth(count: int, more: int) -> None:
    columns = count + more
    stand = steps.columns_of(count, columns)
    assert (stand[0], stand[-1]) == (0, columns - 1)
    assert stand == sorted(set(stand))
    for number, column in enumerate(stand):
        assert abs(number * (columns - 1) - column * (count - 1)) * 2 <= count - 1


def test_where_a_model_has_no_step_only_paper_is_to_be_seen() -> None:
    for theme in (LIGHT, DARK):
        drawn = steps.draw(THREE[:2], 4, theme)
        opaque = pixels(drawn, "frame")[..., 3] > 0
        grid = steps.grid_of(THREE, 4)
        are_open = []
        for column in range(4):
            left, top, right, bottom = (side + EDGE for side in grid.box(column))
            within = opaque[top:bottom, left:right]
            assert within.all() or not within.any()
            are_open.append(not within.any())
        assert are_open == [True, False, False, True]
        left, top, right, bottom = grid.box(1)
        blank = pixels(drawn, "frame")[EDGE + 9, left + EDGE + 9, :3]
        assert np.abs(blank.astype(int) - list(bytes.fromhex(theme.paper[1:]))).max() <= 1


def test_each_cell_says_its_layer_its_channel_and_its_ends() -> None:
    drawn = steps.draw((STEM, MIDDLE, step("far.too.long.a_name", 0, [[0]])), 5)
    places = {note.x: note.text for note in drawn.layout.annotations}
    grid = steps.grid_of(THREE, 5)
    middles = [(grid.box(column)[0] + grid.box(column)[2]) / 2 for column in (0, 2, 4)]
    assert places == dict(
        zip(
            middles,
            (
                "stem<br>channel 3<br>0 to 4",
                "&lt;b&gt;stage1&lt;/b&gt;<br>channel 7<br>0 to 40",
                "a_name<br>channel 0<br>all zero",
            ),
            strict=True,
        )
    )
    (hovered,) = drawn.data
    assert list(hovered.text[0]) == [
        "stem", "", "&lt;b&gt;stage1&lt;/b&gt;", "", "far.too.long.a_name",
    ]  # fmt: skip
    assert hovered.z[0][[0, 2, 4]].tolist() == [1.125, 17.5, 0]
    assert np.isnan(hovered.z[0][[1, 3]]).all()
    assert hovered.customdata[0, 2].tolist() == [7, "0 to 40 (unsigned)"]


# ---------------------------------------------------------------------------------------- words


def test_steps_are_told_as_numbers() -> None:
    alone = steps.tell({"one": (*THREE, *BARE)})
    assert alone.caption == "The strongest channel of each of 3 layers, from stem to stage2."
    assert alone.rows[1] == {
        "layer": "<b>stage1</b>", "channel": 7, "mean": 17.5, "min": 0, "max": 40,
        "colours end at": 40, "map": "2 × 2",
    }  # fmt: skip
    both = steps.tell({"one": THREE, "two": (STEM, LAST), "none": BARE})
    assert [(row["model"], row["column"]) for row in both.rows] == [
        ("one", 1), ("one", 2), ("one", 3), ("two", 1), ("two", 3),
    ]  # fmt: skip
    assert both.caption == (
        "The strongest channel of each of 3 layers of one, from stem to stage2; "
        "of each of 2 layers of two, from stem to stage2."
    )
    assert steps.name_each(THREE[1:]) == "<b>stage1</b> channel 7, stage2 channel 0"
    assert steps.tell({"none": BARE}).caption == "No layer has a map."
    assert steps.most_columns({"one": THREE, "none": BARE}) == 3
    assert steps.most_columns({}) == 0


def test_ends_that_are_long_have_two_lines() -> None:
    (note,) = steps.draw((step("one", 12, [[-0.0123, 0.0456]]),), 1).layout.annotations
    assert note.text == "one<br>channel 12<br>-0.0123<br>to 0.0456"
