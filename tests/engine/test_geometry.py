"""From a file's bytes to the model's input: torchvision's own transforms are the oracle."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode, noise, plain, png_header
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import place, to_input, view_photo
from servelens.protocol import InputRef, ProblemError

PIXELS = 50_000_000
RGB = InputSpec(size=(24, 20), resize=27)
GREY = InputSpec(size=(24, 20), resize=27, channels=1, mean=(0.4,), std=(0.3,))
CPU = torch.device("cpu")


def ours(data: bytes, spec: InputSpec) -> torch.Tensor:
    return to_input([view_photo(data, spec, PIXELS)], spec, CPU)[0]


def torchvisions(image: Image.Image, spec: InputSpec) -> torch.Tensor:
    interpolation = InterpolationMode(spec.interpolation)
    if spec.crop == "none":
        cut = [transforms.Resize(spec.size, interpolation)]
    else:
        cut = [transforms.Resize(spec.resize, interpolation)] if spec.resize else []
        cut.append(transforms.CenterCrop(spec.size))
    chain = [*cut, transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    return transforms.Compose(chain)(image.convert("L" if spec.channels == 1 else "RGB"))


def problem_of(data: bytes, spec: InputSpec = RGB, pixels: int = PIXELS):
    with pytest.raises(ProblemError) as caught:
        view_photo(data, spec, pixels)
    return caught.value.problem


SIZES = [
    (27, 27),
    (28, 27),
    (27, 28),
    (61, 40),
    (40, 61),
    (33, 97),
    (101, 31),
    (500, 333),
    (20, 24),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour", "grey"])
def test_the_input_is_torchvisions_to_the_bit_for_any_size(size, spec):
    image = noise(*size)
    assert torch.equal(ours(encode(image), spec), torchvisions(image, spec))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(24, 20), (20, 24), (23, 23), (27, 27)])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_the_input_is_torchvisions_for_any_interpolation_and_crop(interpolation, shape, crop):
    spec = replace(RGB, size=shape, interpolation=interpolation, crop=crop)
    for size in ((61, 40), (40, 61), (35, 36)):
        image = noise(*size)
        assert torch.equal(ours(encode(image), spec), torchvisions(image, spec))


@settings(max_examples=40, deadline=None)
@given(st.integers(27, 120), st.integers(27, 120), st.integers(1, 27), st.integers(1, 27))
def test_the_input_is_torchvisions_wherever_the_photo_fills_the_crop(width, height, high, wide):
    spec = replace(RGB, size=(high, wide))
    image = noise(width, height)
    assert torch.equal(ours(encode(image), spec), torchvisions(image, spec))


def test_without_resize_the_crop_is_cut_from_the_photo_itself():
    image, spec = noise(43, 38), replace(RGB, resize=0)
    assert torch.equal(ours(encode(image), spec), torchvisions(image, spec))
    seen = view_photo(encode(image), spec, PIXELS)
    left, top, right, bottom = seen.ref.crop
    np.testing.assert_array_equal(seen.pixels, np.asarray(image)[top:bottom, left:right])


def test_several_photos_make_one_batch_in_order_and_on_channels_last_memory():
    images = [noise(40, 30, seed=seed) for seed in range(3)]
    views = [view_photo(encode(image), RGB, PIXELS) for image in images]
    batch = to_input(views, RGB, CPU)
    assert batch.shape == (3, 3, 24, 20)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for row, image in zip(batch, images, strict=True):
        assert torch.equal(row, torchvisions(image, RGB))


@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour model", "grey model"])
@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("RGB", "BMP"),
        ("CMYK", "TIFF"), ("1", "TIFF"), ("RGB", "WEBP"), ("L", "JPEG"), ("CMYK", "JPEG"),
    ],
)  # fmt: skip
def test_any_kind_of_pixels_is_read_as_pillow_converts_it(mode, format, spec):
    data = encode(noise(41, 33, mode), format)
    decoded = Image.open(io.BytesIO(data))
    assert decoded.mode == mode
    assert torch.equal(ours(data, spec), torchvisions(decoded, spec))


@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour model", "grey model"])
def test_a_palette_is_looked_up_before_anything_is_scaled(spec):
    image = noise(41, 33).quantize(16)
    assert torch.equal(ours(encode(image), spec), torchvisions(image.convert("RGB"), spec))
    clear = encode(image, transparency=bytes(range(0, 256, 16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(ours(clear, spec), torchvisions(image.convert("RGB"), spec))


@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour model", "grey model"])
@pytest.mark.parametrize(
    ("dtype", "format"), [("<u2", "PNG"), ("<u2", "TIFF"), (">u2", "TIFF"), ("<i4", "TIFF")]
)
def test_sixteen_bit_grey_is_scaled_to_eight_and_not_clipped(dtype, format, spec):
    values = np.random.default_rng(0).integers(0, 65536, (33, 41)).astype(dtype)
    values[0, :3] = (0, 255, 65535)
    data = encode(Image.fromarray(values), format)
    expected = Image.fromarray((values.astype(np.int64) // 256).astype(np.uint8))
    assert torch.equal(ours(data, spec), torchvisions(expected, spec))


@pytest.mark.parametrize("value", [70000, -1, 2**31 - 1])
def test_grey_beyond_sixteen_bits_is_refused_rather_than_wrapped_around(value):
    deep = encode(Image.fromarray(np.full((30, 30), value, dtype=np.int32)), "TIFF")
    assert problem_of(deep).type == "bad_image"


def rotated(image: Image.Image, orientation: int) -> Image.Image:
    """What the EXIF standard says a viewer shows, in NumPy: where row 0 and column 0 are."""
    pixels = np.asarray(image)
    shown = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]
    return Image.fromarray(np.ascontiguousarray(shown))


def with_orientation(image: Image.Image, orientation: int, format: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, format, exif=exif.tobytes())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_seen_and_measured_as_shown(orientation):
    image = noise(61, 40)
    shown = rotated(image, orientation)
    data = with_orientation(image, orientation)
    assert torch.equal(ours(data, RGB), torchvisions(shown, RGB))
    assert view_photo(data, RGB, PIXELS).ref == view_photo(encode(shown), RGB, PIXELS).ref


def test_a_recipe_can_leave_turned_photos_as_they_lie():
    image, spec = noise(61, 40), replace(RGB, exif=False)
    seen = view_photo(with_orientation(image, 6), spec, PIXELS)
    assert torch.equal(to_input([seen], spec, CPU)[0], torchvisions(image, spec))
    assert (seen.ref.width, seen.ref.height) == (61, 40)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_never_costs_a_photo_that_can_be_decoded():
    """The stock handler answers such photos. One byte of the block is damaged at a time."""
    image = noise(30, 28)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    intact = exif.tobytes()
    for position in range(6, len(intact)):
        for value in (0, 5, 12, 255):
            damaged = bytearray(intact)
            damaged[position] = value
            assert view_photo(encode(image, "JPEG", exif=bytes(damaged)), RGB, PIXELS)


@pytest.mark.parametrize(
    ("photo", "spec", "crop"),
    [
        # Scaled to 341 x 256; cut at (341 - 224) / 2, which rounds to 58, and 16.
        ((640, 480), InputSpec(), (109, 30, 529, 450)),
        ((480, 640), InputSpec(), (30, 109, 450, 529)),
        ((256, 256), InputSpec(), (16, 16, 240, 240)),
        ((512, 512), InputSpec(), (32, 32, 480, 480)),
        ((300, 300), InputSpec(size=(100, 200), resize=0), (50, 100, 250, 200)),
        ((640, 480), InputSpec(crop="none"), (0, 0, 640, 480)),
        ((3, 5), InputSpec(crop="none"), (0, 0, 3, 5)),
        # Scaled up until the crop is filled: 448 x 224, of which the middle half.
        ((20, 10), InputSpec(resize=0), (5, 0, 15, 10)),
        ((10, 20), InputSpec(size=(224, 112), resize=0), (0, 0, 10, 20)),
    ],
)
def test_the_crop_is_told_in_pixels_of_the_photo(photo, spec, crop):
    assert place(*photo, spec).in_photo(*photo) == crop
    seen = view_photo(encode(Image.new("RGB", photo)), spec, PIXELS)
    assert seen.ref == InputRef(*photo, crop, spec.size)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.integers(0, 80),
    st.sampled_from(["center", "none"]),
)
@example((1, 1000), (32, 32), 40, "center")
def test_the_crop_lies_in_the_photo_and_is_never_empty(photo, size, resize, crop):
    spec = InputSpec(size=size, resize=resize, crop=crop)
    placement = place(*photo, spec)
    left, top, right, bottom = placement.in_photo(*photo)
    assert 0 <= left < right <= photo[0]
    assert 0 <= top < bottom <= photo[1]
    x0, y0, x1, y1 = placement.box
    assert (y1 - y0, x1 - x0) == size
    assert min(x0, y0) >= 0
    assert x1 <= placement.scaled[0] and y1 <= placement.scaled[1]


@pytest.mark.parametrize("resize", [0, 8, 27])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (19, 23), (25, 7)])
def test_a_photo_smaller_than_the_crop_is_enlarged_until_it_fills_it(size, resize):
    seen = view_photo(plain_of(size, 200), replace(RGB, resize=resize), PIXELS)
    assert seen.pixels.shape == (24, 20, 3)
    assert (seen.pixels == 200).all(), "nothing is padded"


def plain_of(size: tuple[int, int], level: int) -> bytes:
    return encode(Image.new("RGB", size, (level,) * 3))


def test_a_header_that_promises_too_much_is_refused_before_a_pixel_is_decoded(monkeypatch):
    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    for width, height in ((60000, 60000), (7100, 7100), (50_000_001, 1)):
        assert problem_of(png_header(width, height)).type == "too_many_pixels"
    assert problem_of(png_header(60000, 60000)).code == 413


def test_a_line_of_pixels_is_refused_though_they_are_few_enough():
    """Over the rows of a photo of 1 x 49,000,000 Pillow took seconds and two gigabytes."""
    for size in ((65_536, 1), (1, 65_536), (1, 49_000_000)):
        found = problem_of(png_header(*size))
        assert found.type == "too_many_pixels"
        assert "65,535" in found.message
    assert view_photo(plain_of((65_535, 1), 1), RGB, 100_000)


def test_the_largest_photo_allowed_is_answered_and_one_more_row_is_not():
    assert view_photo(plain_of((50, 40), 1), RGB, 2000)
    found = problem_of(plain_of((50, 41), 1), pixels=2000)
    assert found.type == "too_many_pixels"
    assert "2,000" in found.message


@pytest.mark.parametrize("size", [(1, 65_000), (65_000, 1), (2, 64_999)])
def test_a_thread_of_a_photo_is_never_scaled_to_more_pixels_than_a_photo_may_have(
    size, monkeypatch
):
    """Its shorter side of 1 would become 27 and its longer one 1,755,000."""
    scaled_to = []
    resize = Image.Image.resize

    def watched(self, size, *arguments, **keys):
        scaled_to.append(size[0] * size[1])
        return resize(self, size, *arguments, **keys)

    monkeypatch.setattr(Image.Image, "resize", watched)
    thread = Image.new("L", size, 10)
    thread.paste(200, (size[0] // 2 - 50, size[1] // 2 - 50, size[0] // 2 + 50, size[1] // 2 + 50))
    seen = view_photo(encode(thread), RGB, 1_000_000)
    assert (seen.pixels == 200).all(), "it sees the middle"
    assert max(scaled_to) <= 1_000_000
    left, top, right, bottom = seen.ref.crop
    assert abs(left + right - size[0]) <= 1 and abs(top + bottom - size[1]) <= 1


def truncated(format: str) -> bytes:
    data = encode(noise(60, 60), format)
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        png_header(0, 10),
        png_header(10, 10),
        truncated("PNG"),
        truncated("JPEG"),
        truncated("WEBP"),
        truncated("GIF"),
        truncated("BMP"),
        truncated("TIFF"),
        encode(noise(), "EPS"),
        encode(noise(), "PPM"),
        encode(noise(), "ICO"),
        encode(noise(), "PDF"),
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"not an image" * 50,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_whole_picture_of_an_allowed_format_is_a_bad_image(data):
    found = problem_of(data)
    assert (found.type, found.code, found.where) == ("bad_image", 400, "image")
    assert "PNG" in found.hint and "EPS" not in found.hint


@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour model", "grey model"])
def test_pixels_that_pillow_cannot_convert_are_a_bad_image(spec):
    """Of Lab colours it makes colours but no greys."""
    try:
        assert view_photo(encode(Image.new("LAB", (30, 30)), "TIFF"), spec, PIXELS)
    except ProblemError as error:
        assert error.problem.type == "bad_image"


STARTS = [
    b"",
    *(encode(noise(9, 9), f)[:60] for f in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")),
]


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_random_bytes_are_an_answer_or_a_problem_and_nothing_else(start, rest):
    try:
        assert view_photo(start + rest, RGB, 100_000).pixels.shape == (24, 20, 3)
    except ProblemError as error:
        assert error.problem.type in ("bad_image", "too_many_pixels")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_damaged_file_is_an_answer_or_a_problem_and_nothing_else(format, damage):
    data = bytearray(encode(noise(21, 17), format))
    for position, value in damage:
        data[int(position * (len(data) - 1))] = value
    for spec in (RGB, GREY):
        try:
            assert view_photo(bytes(data), spec, 100_000).pixels.shape[:2] == (24, 20)
        except ProblemError as error:
            assert error.problem.type in ("bad_image", "too_many_pixels")


def test_levels_reach_the_model_as_they_are():
    spec = InputSpec(size=(8, 8), resize=8, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    for level in (0, 128, 255):
        seen = ours(plain(level), spec)
        for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
            assert seen[channel] == pytest.approx((level / 255 - mean) / std, abs=1e-6)
