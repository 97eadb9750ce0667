"""Numbers as colours and pictures, pixel by pixel, held against Matplotlib and against counting."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
import pytest
from client_fixtures.documents import photo
from PIL import Image

from servelens.client import pictures
from servelens.client.colours import Scale, as_plane
from servelens.client.photos import shown
from servelens.palettes import palette

RED, BLUE, WHITE = (103, 0, 31), (5, 48, 97), (247, 247, 247)


@pytest.mark.parametrize(
    ("signed", "name", "farthest"),
    # Of their 256 colours ours keeps 33, and goes straight from one to the next.
    [(False, "cividis", 6), (True, "RdBu_r", 1)],
)
def test_the_palettes_are_matplotlibs(signed: bool, name: str, farthest: int) -> None:
    theirs = mpl.colormaps[name](np.arange(256))[:, :3] * 255
    assert np.abs(palette(signed=signed) - theirs).max() <= farthest


def test_an_unsigned_map_reaches_from_zero_to_its_largest_number() -> None:
    plane = np.array([[0.0, 1.0], [2.0, 4.0]])
    scale = Scale.of(plane, signed=False)
    assert (scale.low, scale.high, scale.start, scale.end) == (0, 4, 0, 4)
    assert scale.levels(plane).tolist() == [[0, 64], [128, 255]]
    assert scale.words() == "0 to 4 (unsigned)"


def test_a_signed_map_is_symmetric_about_zero_which_is_white() -> None:
    plane = np.array([[-4.0, 0.0, 2.0]])
    scale = Scale.of(plane, signed=True)
    colours = np.asarray(pictures.heat(plane, scale).convert("RGB"))[0]
    assert tuple(colours[0]) == BLUE
    assert np.abs(colours[1].astype(int) - WHITE).max() <= 2
    assert (scale.start, scale.end) == (-4, 4)
    assert "blue below zero, red above" in scale.words()


def test_a_number_below_zero_is_not_hidden_though_the_map_is_called_unsigned() -> None:
    assert Scale.of(np.array([[-1.0, 2.0]]), signed=False).signed


def test_a_few_large_pixels_do_not_leave_the_rest_dark_and_the_clipping_is_said() -> None:
    plane = np.ones((100, 100))
    plane[0, 0] = 1000
    scale = Scale.of(plane, signed=False)
    assert (scale.end, scale.is_clipped) == (1, True)
    assert scale.levels(plane).min() == 255
    assert scale.words() == "1 to 1e+03, colours end at 1 (unsigned)"


def test_a_map_that_is_nearly_all_zero_still_shows_what_is_not() -> None:
    plane = np.zeros((200, 200))
    plane[3, 4] = 5
    scale = Scale.of(plane, signed=False)
    assert scale.end == 5
    assert np.argwhere(scale.levels(plane) == 255).tolist() == [[3, 4]]


@pytest.mark.parametrize("signed", [False, True])
def test_all_zero_and_nothing_at_all_say_so(signed: bool) -> None:
    zero = Scale.of(np.zeros((2, 2)), signed=signed)
    assert zero.words() == "all zero"
    assert set(zero.levels(np.zeros((2, 2))).ravel()) == {128 if signed else 0}
    assert Scale.of(np.zeros((0, 2)), signed=signed).is_zero


@pytest.mark.parametrize(
    ("values", "plane"),
    [
        (np.arange(3.0), [[0, 1, 2]]),
        (np.float64(7), [[7]]),
        (np.arange(4.0).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.arange(8.0).reshape(2, 2, 2), [[4, 6], [8, 10]]),
        (np.arange(8.0).reshape(2, 1, 2, 2), [[4, 6], [8, 10]]),
    ],
)
def test_whatever_shape_a_map_has_it_can_be_drawn(values: np.ndarray, plane: object) -> None:
    assert as_plane(np.asarray(values)).tolist() == plane


def test_heat_keeps_its_numbers_as_places_in_a_palette() -> None:
    plane = np.array([[0.0, 1.0]])
    picture = pictures.heat(plane, Scale.of(plane, signed=False), (4, 2))
    assert (picture.mode, picture.size) == ("P", (4, 2))
    assert np.asarray(picture).tolist() == [[0, 0, 255, 255]] * 2
    assert picture.getpalette() == palette(signed=False).ravel().tolist()


def test_an_overlay_is_the_grey_photo_where_the_map_is_zero_and_mostly_colour_at_its_end() -> None:
    under = Image.new("RGB", (2, 1), (200, 100, 50))
    plane = np.array([[0.0, 3.0]])
    mixed = np.asarray(pictures.overlay(under, plane, Scale.of(plane, signed=False)))[0]
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    yellow = np.array(palette(signed=False)[255], float)
    assert np.abs(mixed[0] - float(grey)).max() <= 1
    assert np.abs(mixed[1] - (0.8 * yellow + 0.2 * grey)).max() <= 1


def test_an_overlay_of_zeros_is_the_grey_photo() -> None:
    under = Image.new("RGB", (3, 2), (10, 10, 10))
    plane = np.zeros((2, 2))
    mixed = np.asarray(pictures.overlay(under, plane, Scale.of(plane, signed=True)))
    assert set(mixed.ravel()) == {10}


def test_what_the_model_saw_is_the_crop_at_the_size_asked() -> None:
    half_white = np.zeros((40, 80, 3), np.uint8)
    half_white[:, 40:] = 255
    whole = Image.fromarray(half_white)
    right = pictures.seen(whole, (44, 4, 76, 36), 100)
    assert right.size == (100, 100)
    assert set(np.asarray(right).ravel()) == {255}
    middle = np.asarray(pictures.seen(whole, (20, 0, 60, 20), 100))
    assert middle.shape == (50, 100, 3)
    assert middle[:, :40].max() == 0
    assert middle[:, 60:].min() == 255


@pytest.mark.parametrize(
    "crop", [(0, 0, 0, 0), (9, 9, 3, 3), (-5, -5, 900, 900), (100, 100, 120, 120), (0, 0, 1, 2**62)]
)
def test_a_crop_that_lies_outside_the_photo_is_no_error(crop: tuple[int, ...]) -> None:
    whole = shown(photo())
    assert whole is not None
    assert max(pictures.seen(whole, crop, 50).size) == 50


def test_an_atlas_has_the_channels_row_by_row_on_one_scale_with_white_between() -> None:
    maps = np.arange(5.0)[:, None, None] * np.ones((5, 2, 2))
    scale = Scale.of(maps, signed=False)
    whole = np.asarray(pictures.atlas(maps, scale, 4))
    assert whole.shape == (2 * 5, 3 * 5, 3)
    colours = palette(signed=False)[scale.levels(np.arange(5.0))]
    for channel in range(5):
        top, left = channel // 3 * 5, channel % 3 * 5
        cell = whole[top : top + 4, left : left + 4].reshape(-1, 3)
        assert (cell == colours[channel]).all(), channel
        assert (whole[top + 4, left : left + 5] == 255).all()
        assert (whole[top : top + 5, left + 4] == 255).all()
    assert (whole[5:, 10:] == 255).all()


def test_a_sheet_has_every_picture_and_ink_under_each() -> None:
    tiles = [(Image.new("RGB", (40, 20), colour), "a caption") for colour in ("red", "lime")]
    whole = np.asarray(pictures.sheet(tiles)).astype(int)
    for colour, tile in (((255, 0, 0), 0), ((0, 255, 0), 1)):
        places = np.argwhere((whole == colour).all(axis=2))
        assert len(places) == 40 * 20
        below = whole[places[:, 0].max() + 1 :, places[:, 1].min() : places[:, 1].max() + 1]
        assert below.min() < 128, tile


def test_a_long_caption_does_not_run_into_its_neighbour() -> None:
    long = [(Image.new("RGB", (60, 20)), "W" * 400), (Image.new("RGB", (60, 20)), "")]
    whole = np.asarray(pictures.sheet(long))
    below_second = whole[28 + 1 :, 8 + 68 :]
    assert below_second.min() == 255


def test_a_data_url_is_the_picture_itself() -> None:
    picture = Image.new("RGB", (3, 2), "red")
    head, _, body = pictures.data_url(picture).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as back:
        assert np.array_equal(np.asarray(back), np.asarray(picture))
