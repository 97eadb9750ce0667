"""What is drawn over a photo lies, for the model, where it lies in the photo."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from engine_fixtures.alike import assert_same
from engine_fixtures.photos import encode, noise, photo, png_header
from engine_fixtures.sessions import card, document, open_session, request, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_net import TinyNet

from servelens.engine.drawings import see_mask, see_segments, see_values
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import place, view_photo
from servelens.protocol import Document, Drawing, InputRef, Problem, ProblemError

PIXELS = 1_000_000
SPEC = InputSpec(size=(24, 20), resize=27, interpolation="nearest")
SESSION = open_session(seeded(TinyNet))
SIZE = (50, 40)  # of the photo that is asked about where none is given


def ref(width: int, height: int, spec: InputSpec = SPEC) -> InputRef:
    crop = place(width, height, spec).in_photo(width, height)
    return InputRef(width, height, crop, spec.size)


def drawn(image: Image.Image, **options) -> Drawing:
    return Drawing(encode(image, **options), "mask")


def labels(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def problem_of(drawing: Drawing, photo: InputRef, pixels: int = PIXELS) -> Problem:
    with pytest.raises(ProblemError) as caught:
        see_mask(drawing, photo, SPEC, pixels)
    return caught.value.problem


@pytest.mark.parametrize("size", [(27, 27), (61, 40), (40, 61), (500, 333), (20, 24), (7, 5)])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_each_pixel_is_that_of_the_drawing_under_its_middle(size, crop):
    """The way back, pixel by pixel: from the crop to the scaled photo to the photo. A middle that
    lies on the edge of two pixels is under both."""
    spec = replace(SPEC, crop=crop)
    values, placement = labels(*size), place(*size, spec)
    seen = see_values(drawn(Image.fromarray(values)), ref(*size, spec), spec, PIXELS)
    left, top = placement.box[:2]
    for row, column in itertools.product(range(24), range(20)):
        xs = under(left + column, size[0], placement.scaled[0])
        ys = under(top + row, size[1], placement.scaled[1])
        assert seen[row, column] in values[np.ix_(ys, xs)]


def under(place: int, of: int, scaled: int) -> list[int]:
    middle = Fraction(2 * place + 1, 2) * of / scaled
    return [int(middle) - 1, int(middle)] if middle.denominator == 1 else [int(middle)]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 40),
    st.sampled_from(["center", "none"]),
)
def test_a_drawing_goes_where_the_photo_goes(size, seen_size, resize, crop):
    """A photo that is scaled as drawings are is its own drawing."""
    spec = replace(SPEC, size=seen_size, resize=resize, crop=crop, channels=1)
    image = Image.fromarray(labels(*size))
    view = view_photo(encode(image), spec, PIXELS)
    seen = see_values(drawn(image), view.ref, spec, PIXELS)
    np.testing.assert_array_equal(seen, view.pixels[..., 0])


@pytest.mark.parametrize("size", [(1, 65_000), (65_000, 1)])
def test_a_thread_of_a_photo_has_a_drawing_like_a_thread(size):
    image = Image.new("L", size, 0)
    image.paste(3, (size[0] // 2 - 50, size[1] // 2 - 50, size[0] // 2 + 50, size[1] // 2 + 50))
    seen = see_values(drawn(image), ref(*size), SPEC, PIXELS)
    assert seen.shape == (24, 20) and (seen == 3).all()


def with_palette(*colours: tuple[int, int, int]) -> Image.Image:
    """Two pixels, of the palette's first two entries."""
    image = Image.new("P", (2, 1))
    image.putdata([0, 1])
    image.putpalette([level for colour in colours for level in colour])
    return image


def of_two(mode: str, unmarked, marked) -> Image.Image:
    image = Image.new(mode, (2, 1), unmarked)
    image.putpixel((1, 0), marked)
    return image


PAIRS = {
    "one bit": of_two("1", 0, 1),
    "the faintest grey": of_two("L", 0, 1),
    "white": of_two("L", 0, 255),
    "the faintest of sixteen bits": Image.fromarray(np.array([[0, 1]], np.uint16)),
    "sixteen bits whose lower eight are none": Image.fromarray(np.array([[0, 256]], np.uint16)),
    "the faintest blue": of_two("RGB", (0, 0, 0), (0, 0, 1)),
    "opaque on transparent": of_two("RGBA", (255, 255, 255, 0), (9, 9, 9, 255)),
    "grey on transparent": of_two("LA", (255, 0), (9, 128)),
    "a palette": with_palette((0, 0, 0), (200, 10, 10)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_neither_black_nor_transparent_is_marked(name):
    spec = InputSpec(size=(2, 4), crop="none")
    seen = see_mask(drawn(PAIRS[name]), ref(2, 1, spec), spec, PIXELS)
    assert seen.dtype == bool
    assert seen.tolist() == [[False, False, True, True]] * 2


def test_a_palette_means_its_colours_and_not_their_numbers():
    spec = InputSpec(size=(1, 2), crop="none")
    white_first = drawn(with_palette((255, 255, 255), (0, 0, 0)))
    assert see_mask(white_first, ref(2, 1, spec), spec, PIXELS).tolist() == [[True, False]]
    clear = drawn(with_palette((9, 9, 9), (8, 8, 8)), transparency=bytes([255, 0]))
    assert see_mask(clear, ref(2, 1, spec), spec, PIXELS).tolist() == [[True, False]]


def test_values_are_told_apart_to_the_last_bit():
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) + 4000
    spec = InputSpec(size=(2, 3), crop="none")
    seen = see_values(drawn(Image.fromarray(deep)), ref(3, 2, spec), spec, PIXELS)
    np.testing.assert_array_equal(seen, deep)
    colours = noise(3, 2)
    seen = see_values(drawn(colours), ref(3, 2, spec), spec, PIXELS)
    red, green, blue = np.moveaxis(np.asarray(colours, np.int32), 2, 0)
    np.testing.assert_array_equal(seen, red * 65536 + green * 256 + blue)


@pytest.mark.parametrize("size", [(40, 61), (61, 41), (1, 1), (122, 80)])
def test_a_drawing_of_another_size_is_refused_by_naming_both(size):
    found = problem_of(drawn(Image.new("L", size)), ref(61, 40))
    assert (found.type, found.code, found.where) == ("bad_value", 400, "mask")
    assert found.message == f"mask is {size[0]} × {size[1]} pixels, the photo is 61 × 40"
    assert "EXIF" in found.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        encode(Image.new("L", (61, 40)), "GIF"),
        encode(Image.new("L", (61, 40)), "JPEG"),
        encode(Image.new("L", (61, 40)), "BMP"),
        encode(noise(61, 40))[:3000],
        png_header(61, 40),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_whole_png_is_refused_with_what_to_send(data):
    found = problem_of(Drawing(data, "mask"), ref(61, 40))
    assert (found.type, found.code, found.where) == ("bad_image", 400, "mask")
    assert "the mask cannot be decoded" in found.message
    assert found.hint == "send a whole file, a PNG"


def test_a_header_that_promises_too_much_is_refused_before_a_pixel_is_decoded(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for size in ((60000, 60000), (1001, 1000)):
        found = problem_of(Drawing(png_header(*size), "mask"), ref(61, 40))
        assert (found.type, found.where) == ("too_many_pixels", "mask")
    assert problem_of(Drawing(png_header(999, 1000), "mask"), ref(61, 40)).type == "bad_value"


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), st.booleans())
def test_a_damaged_file_is_a_mask_or_a_problem_and_nothing_else(damage, deep):
    image = Image.fromarray(labels(21, 17).astype(np.uint16)) if deep else noise(21, 17, "RGBA")
    data = bytearray(encode(image))
    for position, value in damage:
        data[int(position * (len(data) - 1))] = value
    try:
        assert see_mask(Drawing(bytes(data), "mask"), ref(21, 17), SPEC, PIXELS).shape == (24, 20)
    except ProblemError as error:
        assert error.problem.type in ("bad_image", "bad_value", "too_many_pixels")


def test_segments_are_the_values_that_the_model_sees_counted_from_none():
    values = np.full((100, 200), 7, np.uint8)
    values[:, :30] = 99  # the crop is the middle of the photo
    values[:, 100:] = 3
    seen = see_segments(drawn(Image.fromarray(values)), ref(200, 100), SPEC, PIXELS)
    assert (seen.count, seen.of.shape) == (2, (24, 20))
    assert seen.of[0].tolist() == [1] * 10 + [0] * 10


@pytest.mark.parametrize(("values", "count"), [((4,), 1), (range(1025), 1025)])
def test_too_few_or_too_many_segments_are_refused_by_their_number(values, count):
    spec = InputSpec(size=(41, 25), crop="none")
    grid = np.resize(np.array(values, np.uint16), (41, 25))
    with pytest.raises(ProblemError) as caught:
        see_segments(
            Drawing(encode(Image.fromarray(grid)), "explain[1].segments"),
            ref(25, 41, spec),
            spec,
            PIXELS,
        )
    found = caught.value.problem
    assert (found.type, found.where) == ("bad_value", "explain[1].segments")
    assert f"has {count} segments" in found.message and "2 to 1024" in found.message


def test_as_many_segments_as_the_finest_grid_has_cells_are_taken():
    spec = InputSpec(size=(32, 32), crop="none")
    grid = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    seen = see_segments(drawn(Image.fromarray(grid)), ref(32, 32, spec), spec, PIXELS)
    np.testing.assert_array_equal(seen.of, grid)


def asked(image: Image.Image, **keys):
    """A request whose mask is a form's file part."""
    return request(mask=encode(image), **keys)


def job_of(asked):
    return SESSION._desk.prepare(0, asked)


def test_a_job_has_the_mask_at_the_size_of_the_models_input():
    image = Image.new("L", SIZE, 0)
    image.paste(7, (20, 0, 50, 40))  # from column 18 of the scaled photo, whose crop starts at 6
    mask = job_of(asked(image)).mask
    assert mask.dtype == bool and mask.shape == (32, 32)
    assert not mask[:, :12].any() and mask[:, 12:].all()
    assert job_of(request()).mask is None


def test_a_turned_photo_is_drawn_over_as_it_is_shown():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(noise(*SIZE), exif=exif.tobytes())
    upright, lying = Image.new("L", SIZE[::-1], 1), Image.new("L", SIZE, 1)
    assert job_of(request(turned, mask=encode(upright))).mask.all()
    with pytest.raises(ProblemError, match="mask is 50 × 40 pixels, the photo is 40 × 50"):
        job_of(request(turned, mask=encode(lying)))
    as_it_lies = open_session(seeded(TinyNet), input=replace(card().input, exif=False))
    assert as_it_lies._desk.prepare(0, request(turned, mask=encode(lying))).mask.all()


def test_a_mask_that_nothing_reads_changes_nothing():
    plain = document(SESSION, explain="saliency", target=1)
    assert_same(document(SESSION, explain="saliency", target=1, mask=photo(seed=4)), plain)


def test_a_bad_mask_is_its_own_rows_trouble():
    answers = SESSION.run([request(), asked(Image.new("L", (3, 3))), request()])
    assert [type(answer) for answer in answers] == [Document, Problem, Document]
