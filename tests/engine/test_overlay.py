"""Maps laid over the photo: each pixel by its formula, in the photo's own crop."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode, noise, photo
from engine_fixtures.sessions import SMALL, document, open_session, request, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from tiny_net import TinyNet
from torch.nn import functional

from servelens import codec
from servelens.engine.budget import Limits
from servelens.engine.geometry import LONGEST_BACKDROP, view_photo
from servelens.engine.overlay import CIVIDIS, DIVERGING, normalised, overlay
from servelens.protocol import Problem

SESSION = open_session(seeded(TinyNet))
GREY = np.full((6, 8, 3), 100, np.uint8)
ALL = ["grad_cam", "saliency", "input_x_gradient"]


def pixels(png: bytes | None) -> np.ndarray:
    assert png is not None
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB, by its standard."""
    level = colours / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_a_map_without_a_sign_grows_lighter_with_every_step() -> None:
    # Its authors' own ends.
    assert CIVIDIS[0].tolist() == [0, 34, 78] and CIVIDIS[-1].tolist() == [254, 232, 56]
    light = luminance(CIVIDIS)
    assert (np.diff(light[::8]) > 0).all() and light[-1] > 20 * light[0]


def test_a_signed_map_fades_to_one_colour_from_either_side() -> None:
    middle = len(DIVERGING) // 2
    assert len(DIVERGING) % 2 == 1
    light = luminance(DIVERGING)
    assert (np.diff(light[: middle + 1]) > 0).all() and (np.diff(light[middle:]) < 0).all()
    assert len(set(DIVERGING[middle].tolist())) == 1, "grey"
    below, above = DIVERGING[0].astype(int), DIVERGING[-1].astype(int)
    assert below[2] > below[0] and above[0] > above[2]


def test_without_a_sign_each_pixel_is_the_photo_under_its_colour() -> None:
    values = np.zeros((6, 8), np.float32)
    values[0, :3] = (4.0, 2.0, 1.0)
    shown = pixels(overlay(values, signed=False, photo=GREY))
    for column, share in ((0, 1.0), (1, 0.5), (2, 0.25)):
        colour = CIVIDIS[round(255 * share)].astype(float)
        expected = 100 + (colour - 100) * 0.75 * share
        assert np.abs(shown[0, column] - expected).max() <= 0.5
    assert (shown[1:] == 100).all() and (shown[0, 3:] == 100).all()


def test_a_signed_map_is_symmetric_about_zero() -> None:
    values = np.zeros((6, 8), np.float32)
    values[0, :4] = (4.0, -4.0, -1.0, 1.0)
    shown = pixels(overlay(values, signed=True, photo=GREY))
    for column, share in ((0, 1.0), (1, -1.0), (2, -0.25), (3, 0.25)):
        colour = DIVERGING[127 + round(127 * share)].astype(float)
        expected = 100 + (colour - 100) * 0.75 * abs(share)
        assert np.abs(shown[0, column] - expected).max() <= 0.5
    assert (shown[1:] == 100).all()


def test_a_map_is_scaled_smoothly_to_the_photos_size() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    photo = np.asarray(noise(40, 30))
    shown = pixels(overlay(values, signed=True, photo=photo))
    share = torch.from_numpy(values / np.abs(values).max())[None, None].double()
    large = functional.interpolate(share, (30, 40), mode="bilinear")[0, 0].numpy()
    colours = DIVERGING[np.rint(127 + 127 * large).astype(int)].astype(float)
    expected = photo + (colours - photo) * 0.75 * np.abs(large)[..., None]
    # A colour of the table's next step is as near.
    assert np.abs(shown - expected).max() <= 3


@pytest.mark.parametrize("signed", [True, False])
def test_an_all_zero_map_gives_the_plain_photo(signed: bool) -> None:
    photo = np.asarray(noise(31, 17))
    zeros = np.zeros((4, 4), np.float32)
    np.testing.assert_array_equal(pixels(overlay(zeros, signed=signed, photo=photo)), photo)


def test_few_values_are_told_apart_by_the_largest_and_many_by_their_percentile() -> None:
    few = np.arange(99, dtype=np.float32).reshape(9, 11)
    np.testing.assert_allclose(normalised(few), few / 98, rtol=1e-6)
    many = np.arange(-1000, 0, dtype=np.float32).reshape(10, 100)
    np.testing.assert_allclose(normalised(many), np.maximum(many / 991, -1), rtol=1e-6)
    lone = np.zeros((100, 100), np.float32)
    lone[5, 5] = -3
    assert normalised(lone).min() == -1 and np.count_nonzero(normalised(lone)) == 1


def test_colour_channels_are_summed() -> None:
    channels = np.random.default_rng(0).normal(size=(3, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(normalised(channels), normalised(channels.sum(0)), rtol=1e-4)


@settings(max_examples=100, deadline=None)
@given(
    npst.arrays(
        np.float32,
        npst.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.booleans(),
)
def test_any_finite_map_makes_a_picture_of_the_photos_size(values, signed) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert pixels(overlay(values, signed=signed, photo=GREY)).shape == GREY.shape


@pytest.mark.parametrize(
    ("size", "shape"),
    [((40, 40), (36, 36)), ((400, 300), (266, 266)), ((1500, 1200), (512, 512))],
)
def test_a_backdrop_is_the_photos_crop_and_no_larger_than_it_need_be(size, shape) -> None:
    image = Image.new("RGB", size, (9, 60, 200))
    view = view_photo(encode(image), SMALL, 10**8, backdrop=True)
    assert view.backdrop is not None and view.backdrop.shape == (*shape, 3)
    assert (view.backdrop == (9, 60, 200)).all()
    assert view_photo(encode(image), SMALL, 10**8).backdrop is None


def test_a_backdrop_that_fits_is_the_photo_to_the_bit() -> None:
    image = noise(61, 40)
    view = view_photo(encode(image), SMALL, 10**8, backdrop=True)
    left, top, right, bottom = view.ref.crop
    np.testing.assert_array_equal(view.backdrop, np.asarray(image)[top:bottom, left:right])
    assert max(view.backdrop.shape) <= LONGEST_BACKDROP


def test_a_long_crop_keeps_its_shape() -> None:
    spec = replace(SMALL, crop="none")
    view = view_photo(encode(Image.new("L", (3000, 10))), spec, 10**8, backdrop=True)
    assert view.backdrop is not None and view.backdrop.shape == (2, 512, 3)


def test_every_map_has_its_picture_when_it_is_asked_for() -> None:
    answer = document(SESSION, explain=ALL, target=[1, 2], render=True)
    backdrop = view_photo(photo(), SMALL, 10**6, backdrop=True).backdrop
    for entry in answer.attributions:
        expected = overlay(entry.map, signed=entry.signed, photo=backdrop)
        assert entry.image == expected and pixels(entry.image).shape == backdrop.shape
    assert "render" in answer.cost.ms and answer.problems is None
    plain = document(SESSION, explain=ALL, target=[1, 2])
    assert [entry.image for entry in plain.attributions] == [None] * 6
    assert "render" not in plain.cost.ms


def test_a_turned_photo_is_drawn_upright_and_a_grey_model_gets_a_grey_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    spec = replace(SMALL, channels=1, mean=(0.0,), std=(1.0,), crop="none")
    session = open_session(seeded(TinyNet, channels=1), input=spec)
    image = noise(50, 40)
    turned = encode(image, exif=exif.tobytes())
    (entry,) = document(session, turned, explain="grad_cam", render=True).attributions
    grey = np.repeat(np.asarray(image.convert("L").rotate(-90, expand=True))[..., None], 3, 2)
    assert entry.image == overlay(entry.map, signed=False, photo=grey)


def test_a_map_that_there_is_not_has_no_picture() -> None:
    entries = ["grad_cam", {"method": "grad_cam", "layer": "head"}]
    whole, without = document(SESSION, explain=entries, render=True).attributions
    assert whole.image is not None
    assert without.map is None and without.problem is not None and without.image is None


def test_a_part_is_not_drawn_and_says_so() -> None:
    answer = document(SESSION, explain="occlusion", render=True, part={"index": 0, "of": 2})
    (entry,) = answer.attributions
    assert entry.map is not None and entry.image is None
    (found,) = answer.problems
    assert (found.type, found.where) == ("unsupported", "render")


@pytest.mark.parametrize("format", ["json", "npz"])
def test_pictures_that_do_not_fit_are_left_out_and_counted(format: str, monkeypatch) -> None:
    session, drawn = open_session(seeded(TinyNet)), 0
    asked = request(explain=ALL, render=True, format=format, activations=["stem", "block"])
    for limit in range(9_000, 60_000, 1_000):
        monkeypatch.setattr(session, "limits", Limits(response_bytes=limit))
        (answer,) = session.run([asked])
        if isinstance(answer, Problem):
            assert answer.type == "response_too_large" and drawn == 0
            continue
        assert size(answer, format) <= limit
        shown = [entry.image is not None for entry in answer.attributions]
        assert shown == sorted(shown, reverse=True) and sum(shown) >= drawn
        drawn = sum(shown)
        assert all(entry.map is not None for entry in answer.attributions)
        if drawn < 3:
            (found,) = answer.problems
            assert (found.type, found.where) == ("response_too_large", "render")
            assert f"the last {3 - drawn} of 3 attributions" in found.message
        else:
            assert answer.problems is None
    assert drawn == 3


def size(answer, format: str) -> int:
    if format == "npz":
        return len(codec.write_npz(*codec.pack_npz(answer)))
    return len(codec.write_json(codec.pack_json(answer)))


@pytest.mark.parametrize("format", ["json", "npz"])
def test_a_picture_is_the_same_text_by_either_way(format: str) -> None:
    answer = document(SESSION, explain=ALL, render=True)
    if format == "npz":
        packed, arrays = codec.pack_npz(answer)
        assert packed["attributions"][1]["image"] == {"array": "attributions/1/image"}
        assert arrays["attributions/1/image"].dtype == np.uint8
        back = codec.read_npz(codec.write_npz(packed, arrays))
    else:
        back = codec.read_json(codec.write_json(codec.pack_json(answer)))
    for entry, original in zip(back["attributions"], answer.attributions, strict=True):
        assert base64.b64decode(entry["image"]) == original.image
