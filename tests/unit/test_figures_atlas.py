"""The atlas: each channel where the arithmetic says it is, pixel by pixel, and clicked there."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from servelens.client.colours import Scale
from servelens_dashboard.figures import atlas as atlases
from servelens_dashboard.figures.atlas import Atlas
from servelens_dashboard.figures.grid import GAP, WIDTH, Grid
from servelens_dashboard.figures.look import DARK, LIGHT, Theme
from servelens_dashboard.figures.sprites import EDGE, frame, sprite

NODE = shutil.which("node")
SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 40), st.integers(1, 40))


def random_maps(*shape: int) -> Any:
    return np.random.default_rng(1).normal(size=shape)


# --------------------------------------------------------------------------------- arithmetic


@given(SHAPES, st.integers(0, 5000))
def test_channels_lie_side_by_side_each_with_its_number(
    shape: tuple[int, int, int], largest: int
) -> None:
    grid = Grid.of(shape, largest)
    width, height = grid.size
    taken = np.zeros((height, width), bool)
    for position in range(grid.count):
        left, top, right, bottom = grid.box(position)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom + grid.strip <= height
        of_one = taken[top : bottom + grid.strip, left:right]
        assert not of_one.any()
        of_one[:] = True
    assert 0 <= grid.rows * grid.columns - grid.count < grid.columns


@given(st.integers(1, 4096), st.integers(1, 300))
def test_an_atlas_is_as_wide_as_the_stage_and_its_squares_can_be_hit(count: int, side: int) -> None:
    grid = Grid.of((count, side, side), count)
    assert grid.size[0] <= max(WIDTH, grid.columns * (12 + GAP))
    assert min(grid.cell) >= 12


@pytest.mark.parametrize(
    "shape", [(64, 56, 56), (256, 28, 28), (512, 28, 28), (512, 14, 14), (57, 224, 224)]
)
@pytest.mark.parametrize("shared", [True, False])
def test_no_layers_channels_weigh_more_than_a_browser_is_to_be_sent(
    shape: tuple[int, int, int], shared: bool
) -> None:
    """Of what a ReLU leaves of noise, which is harder to write in few bytes than any photo's."""
    maps = np.maximum(random_maps(*shape), 0)
    assert len(atlases.draw(Atlas.of(maps, shared=shared)).to_json()) < 400_000


# ------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 4), (7, 300, 200), (40, 1, 90), (2048, 1, 1)])
@pytest.mark.parametrize("shared", [True, False])
def test_each_pixel_shows_the_number_that_lies_there(
    shape: tuple[int, int, int], shared: bool
) -> None:
    values = random_maps(*shape)
    atlas = Atlas.of(values, shared=shared)
    cells, grid = sprite_of(atlas), atlas.grid
    assert cells.shape == grid.size[::-1]
    ends = [Scale.of(each, signed=True).end for each in values]
    for position in {0, shape[0] // 2, shape[0] - 1}:
        end = max(ends) if shared else ends[position]
        left, top, right, bottom = grid.box(position)
        for row, column in ((0, 0), (bottom - top - 1, right - left - 1), (5, 9)):
            number = slow_mean(values[position], grid, row, column)
            place = round(255 * min(max((number + end) / (2 * end), 0), 1))
            assert abs(int(cells[top + row, left + column]) - place) <= 1


def sprite_of(atlas: Atlas) -> Any:
    return sprite(atlas.maps, atlas.scales, atlas.grid)


def slow_mean(values: Any, grid: Grid, row: int, column: int) -> float:
    """The mean of the block of numbers that a pixel of a cell shows."""
    tops, lefts = (range(0, side, grid.shrink) for side in values.shape)
    width, height = grid.cell
    y, x = tops[row * len(tops) // height], lefts[column * len(lefts) // width]
    return float(values[y : y + grid.shrink, x : x + grid.shrink].mean())


@settings(deadline=None, max_examples=30)
@given(SHAPES)
def test_the_frame_lets_exactly_the_maps_through(shape: tuple[int, int, int]) -> None:
    atlas = Atlas.of(np.ones(shape))
    open_ = np.zeros(atlas.grid.size[::-1], bool)
    for position in range(shape[0]):
        left, top, right, bottom = atlas.grid.box(position)
        open_[top:bottom, left:right] = True
    assert ((decoded(atlas, LIGHT)[..., 3] == 0) == np.pad(open_, EDGE)).all()


def test_a_frame_is_the_pages_paper_and_bears_the_numbers_in_quiet_ink() -> None:
    atlas = Atlas.of(np.ones((3, 8, 8)), [342, 7, 1])
    for theme in (LIGHT, DARK):
        pixels = decoded(atlas, theme)
        paper = list(bytes.fromhex(theme.paper[1:]))
        assert np.abs(pixels[0, 0, :3].astype(int) - paper).max() <= 1
        ink = list(bytes.fromhex(theme.quiet[1:]))
        left, _, right, bottom = atlas.grid.box(0)
        label = pixels[bottom + EDGE + GAP : bottom + EDGE + atlas.grid.strip, left + EDGE : right]
        assert (np.abs(label[..., :3].astype(int) - ink).max(axis=-1) <= 2).any()


def decoded(atlas: Atlas, theme: Theme) -> Any:
    data = frame(atlas.grid, atlas.numbers, theme).partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


# ------------------------------------------------------------------------------------ figures


def test_512_channels_are_two_images_and_one_trace() -> None:
    drawn = atlases.draw(Atlas.of(random_maps(512, 7, 7)), selected=40)
    assert [(each.name, each.layer) for each in drawn.layout.images] == [
        ("heat", "below"),
        ("frame", "above"),
    ]
    assert len(drawn.data) == 1
    assert drawn.data[0].z.size >= 512
    (mark,) = drawn.layout.shapes
    assert (mark.x0, mark.y0, mark.x1, mark.y1) == Atlas.of(random_maps(512, 7, 7)).grid.box(40)


@pytest.mark.skipif(NODE is None, reason="needs node; the browser's tests run the same script")
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_browser_marks_a_channel_as_we_do(root: Path, theme: Theme) -> None:
    numbers = [7, 3, 40, 2, 11]
    atlas = Atlas.of(random_maps(5, 4, 6), numbers)
    drawn = [atlases.draw(atlas, theme=theme, selected=number) for number in [*numbers, 99]]
    script = (root / "dashboard/servelens_dashboard/assets/atlas.js").read_text()
    program = f"""
        globalThis.window = globalThis;
        {script}
        const [known, channels] = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify(channels.map((n) => servelens.atlas.marks(known, n))));
    """
    given = json.dumps([drawn[0].layout.meta["atlas"], [*numbers, 99]])
    assert NODE is not None
    done = subprocess.run([NODE, "-e", program], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = [[shape.to_plotly_json() for shape in figure.layout.shapes] for figure in drawn]
    assert json.loads(done.stdout) == ours
    assert [len(marks) for marks in ours] == [1, 1, 1, 1, 1, 0]


def test_the_square_that_is_clicked_is_the_channel_that_is_seen_there() -> None:
    values = random_maps(11, 4, 6)
    numbers = list(range(100, 111))
    atlas = Atlas.of(values, numbers)
    (trace,) = atlases.draw(atlas).data
    means = values.mean(axis=(1, 2))
    seen = []
    for row, column in np.ndindex(*trace.z.shape):
        channel, told = trace.text[row, column], trace.customdata[row, column]
        if channel is None:
            assert np.isnan(trace.z[row, column])
            continue
        x, y = trace.x0 + column * trace.dx, trace.y0 + row * trace.dy
        left, top, right, bottom = atlas.grid.box(numbers.index(channel))
        assert left < x < right
        assert top < y < bottom + atlas.grid.strip
        mean = means[channel - 100]
        assert trace.z[row, column] == pytest.approx(mean, rel=1e-6)
        assert told[0] == 1 + sum(other > mean for other in means)
        seen.append(channel)
    assert seen == numbers


@pytest.mark.parametrize("shape", [(1, 7, 7), (2048, 7, 7), (2048,), (64, 1, 1), (3, 2, 4, 5)])
def test_layers_of_any_shape_are_drawn_and_left_as_they_were(shape: tuple[int, ...]) -> None:
    values = random_maps(*shape)
    values.flags.writeable = False
    before = values.copy()
    drawn = atlases.draw(Atlas.of(values))
    assert len(drawn.layout.images) == 2
    assert (values == before).all()


def test_silent_channels_are_counted_and_a_silent_layer_is_drawn() -> None:
    values = np.zeros((3, 2, 2))
    assert not sprite_of(Atlas.of(values)).any()
    values[1, 0, 0] = 4
    told = atlases.tell(Atlas.of(values, [5, 6, 9]), "layer4", "strongest first")
    assert (
        told.caption
        == "3 channels of layer4, strongest first, on one scale, 0 to 4; 2 of them all zero."
    )
    assert told.rows[1] == {"channel": 6, "mean": 1.0, "min": 0.0, "max": 4.0}


@pytest.mark.parametrize(("of", "said"), [(None, "3 channels"), (3, "3 channels"), (9, "3 of 9")])
def test_what_is_not_shown_is_counted(of: int | None, said: str) -> None:
    told = atlases.tell(Atlas.of(random_maps(3, 2, 2)), "layer4", "strongest first", of)
    assert told.caption.startswith(f"{said} ")


def test_on_scales_of_their_own_even_faint_channels_reach_the_last_colour() -> None:
    values = np.array([[[0.0, 1e-3]], [[0.0, 1e3]], [[0.0, 0.0]]])
    for shared, brightest in ((True, [0, 255, 0]), (False, [255, 255, 0])):
        atlas = Atlas.of(values, shared=shared)
        whole = sprite_of(atlas)
        boxes = [atlas.grid.box(position) for position in range(3)]
        cells = [whole[top:bottom, left:right] for left, top, right, bottom in boxes]
        assert [int(cell.max()) for cell in cells] == brightest


@pytest.mark.parametrize(
    ("values", "numbers", "sentence"),
    [
        (np.full((2, 3, 3), np.nan), None, "not finite"),
        (np.zeros((0, 3, 3)), None, r"shape \[0, 3, 3\]"),
        (np.zeros((2, 3, 3)), [1], "2 maps cannot be those of 1 channels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(values: Any, numbers: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Atlas.of(values, numbers)
