"""What one unit sees: against closed forms, plain gradients and slow loops over windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from engine_fixtures.alike import assert_near
from engine_fixtures.oracles import assert_close, model_input, one_pass, untouched
from engine_fixtures.photos import photo, plain
from engine_fixtures.sessions import document, open_session, problem, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_nets import CutNet, GatedNet, InPlaceNet, OutOfPlaceNet, OverflowNet, TellingNet
from tiny_net import TinyNet
from torch import nn

from servelens.engine.features.field import Region, seen_by, windows_over
from servelens.protocol import InputRef, TheoreticalField, to_wire

PHOTO = photo(seed=12)
TINY = open_session(seeded(TinyNet))
MODES = ["gradient", "occlusion"]


class ConvNet(nn.Module):
    """A layer that is linear in the pixels, each of its units in a window of five by three."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (5, 3), stride=2, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.conv(x).mean(dim=(2, 3)))


LINEAR = open_session(seeded(ConvNet))


def field_of(session, image=PHOTO, **asked):
    return document(session, image, receptive_field=asked).receptive_field


# Closed forms: unit (h, w) of `conv` sees the rows 2h - 1 to 2h + 3, the columns 2w - 1 to 2w + 1.


def test_the_gradient_of_a_linear_unit_is_its_kernel_where_it_lies():
    found = field_of(LINEAR, layer="conv", channel=2, position=[5, 7])
    expected = np.zeros((32, 32))
    kernel = LINEAR.model.module.conv.weight[2].detach().double().abs().sum(dim=0)
    expected[9:14, 13:16] = kernel.numpy()
    assert_close(found.map, expected)
    assert (found.layer, found.channel, found.mode) == ("conv", 2, "gradient")
    assert (found.position, found.window, found.stride) == ((5, 7), None, None)
    assert found.theoretical == TheoreticalField((5, 3), (2.0, 2.0), (1.0, 0.0), False)


def test_at_the_border_a_unit_sees_what_there_is():
    found = field_of(LINEAR, layer="conv", channel=0, position=[0, 0])
    kernel = LINEAR.model.module.conv.weight[0].detach().double().abs().sum(dim=0).numpy()
    expected = np.zeros((32, 32))
    expected[:4, :2] = kernel[1:, 1:]
    assert_close(found.map, expected)


def grid(region: Region, window: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """All windows of the image, laid out from the region's corner, those that miss it too."""
    axes = [
        [
            slice(max(start, 0), start + window)
            for start in range((first - window) % stride - stride * (window // stride), 32, stride)
            if start + window > 0
        ]
        for first in (region.top, region.left)
    ]
    return itertools.product(*axes)


def covered_slowly(region: Region, window: int, stride: int) -> np.ndarray:
    """A window changes a linear unit by the sum of weight times pixel under it."""
    image = model_input(LINEAR, PHOTO)[0].double().numpy()
    weight = np.zeros_like(image)
    weight[:, 9:14, 13:16] = LINEAR.model.module.conv.weight[2].detach().double().numpy()
    parts = (image * weight).sum(axis=0)
    sums, counts = np.zeros((32, 32)), np.zeros((32, 32))
    for places in grid(region, window, stride):
        sums[places] += abs(parts[places].sum())
        counts[places] += 1
    means = np.zeros((32, 32))
    means[region.places] = sums[region.places] / counts[region.places]
    return means


@pytest.mark.parametrize(
    ("window", "stride"), [(None, None), (1, 1), (2, 1), (3, 2), (4, 4), (5, 2), (40, 20)]
)
def test_covering_a_linear_unit_is_the_sum_of_what_was_covered(window, stride):
    sizes = {"window": window, "stride": stride} if window else {}
    asked = {"layer": "conv", "channel": 2, "position": [5, 7], "mode": "occlusion", **sizes}
    answer = document(LINEAR, PHOTO, receptive_field=asked)
    found = answer.receptive_field
    # Five pixels high: steps of one, overlapping by half.
    assert (found.window, found.stride) == ((window, stride) if window else (2, 1))
    expected = covered_slowly(Region(9, 13, 14, 16), found.window, found.stride)
    assert_close(found.map, expected)


def test_one_pixel_at_a_time_is_weight_times_pixel():
    asked = {"window": 1, "stride": 1, "mode": "occlusion", "position": [5, 7]}
    answer = document(LINEAR, PHOTO, receptive_field={"layer": "conv", "channel": 2, **asked})
    assert answer.cost.forwards == 1 + 5 * 3, "only windows that the unit can see"
    image = model_input(LINEAR, PHOTO)[0].double()[:, 9:14, 13:16]
    weight = LINEAR.model.module.conv.weight[2].detach().double()
    expected = np.zeros((32, 32))
    expected[9:14, 13:16] = (image * weight).sum(dim=0).abs().numpy()
    assert_close(answer.receptive_field.map, expected)


def test_a_window_alone_moves_by_half_of_itself_and_a_stride_alone_makes_windows_twice_as_large():
    asked = {"layer": "conv", "channel": 0, "mode": "occlusion"}
    found = field_of(LINEAR, **asked, window=5)
    assert (found.window, found.stride) == (5, 2)
    found = field_of(LINEAR, **asked, stride=3)
    assert (found.window, found.stride) == (6, 3)


# Slow loops.


UNITS = [("stem", 3, [7, 2]), ("block", 5, [0, 15]), ("last", 9, [4, 4]), ("last", 0, [7, 0])]


@pytest.mark.parametrize(("layer", "channel", "position"), UNITS)
def test_the_gradient_is_the_plain_one(layer, channel, position):
    module, given = untouched(TINY.model.module), []
    module.get_submodule(layer).register_forward_hook(lambda m, i, output: given.append(output))
    source = model_input(TINY, PHOTO).double().requires_grad_(True)
    module(source)
    unit = given[-1][(0, channel, *position)]
    unit.backward()
    asked = {"layer": layer, "channel": channel, "position": position}
    found = field_of(TINY, **asked)
    assert_close(found.map, source.grad[0].abs().sum(dim=0).numpy())
    assert found.value == pytest.approx(unit.item(), rel=1e-4)


def occluded_slowly(layer, channel, position, region: Region, window: int, stride: int):
    """One window at a time, one plain float64 pass each; all windows of the grid, wherever."""
    module = untouched(TINY.model.module)
    image = model_input(TINY, PHOTO).double()

    def unit(x: torch.Tensor) -> float:
        given = []
        handle = module.get_submodule(layer).register_forward_hook(
            lambda m, i, output: given.append(output)
        )
        with torch.no_grad():
            module(x)
        handle.remove()
        return given[-1][(0, channel, *position)].item()

    whole, sums, counts = unit(image), np.zeros((32, 32)), np.zeros((32, 32))
    for rows, columns in grid(region, window, stride):
        patched = image.clone()
        patched[:, :, rows, columns] = 0
        sums[rows, columns] += abs(whole - unit(patched))
        counts[rows, columns] += 1
    return sums / counts


@pytest.mark.parametrize(("layer", "channel", "position"), UNITS)
def test_occlusion_is_what_one_window_at_a_time_gives(layer, channel, position):
    asked = {"layer": layer, "channel": channel, "position": position, "mode": "occlusion"}
    found = field_of(TINY, **asked)
    region = seen_by(found.theoretical, found.position, (32, 32))
    slow = occluded_slowly(layer, channel, position, region, found.window, found.stride)
    assert_close(found.map[region.places], slow[region.places])
    outside = found.map.copy()
    outside[region.places] = 0
    assert not outside.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layer", ["first", "second", "norm", "relu#1", "relu"])
def test_a_model_that_works_in_place_is_seen_like_its_twin_that_does_not(layer, mode):
    asked = {"layer": layer, "channel": 1, "mode": mode}
    ours, twins = (
        field_of(open_session(seeded(kind)), **asked) for kind in (InPlaceNet, OutOfPlaceNet)
    )
    assert ours.value == pytest.approx(twins.value, rel=1e-5) and ours.value != 0
    assert_close(ours.map, twins.map)


@pytest.mark.parametrize("mode", MODES)
def test_an_earlier_call_is_a_unit_of_its_own_whose_field_the_survey_does_not_know(mode):
    first, last = (
        field_of(TINY, layer=layer, channel=4, mode=mode)
        for layer in ("block.relu#0", "block.relu")
    )
    given = one_pass(
        TINY.model.module, model_input(TINY, PHOTO), lambda z: z[0], "block.relu", call=0
    )
    assert first.value == pytest.approx(given.activation[4, 8, 8], rel=1e-4)
    assert first.theoretical is None and first.box is None
    assert last.theoretical is not None and last.box is not None
    assert first.map is not None and last.map is not None
    assert_near(
        to_wire(field_of(TINY, layer="block.relu#1", channel=4, mode=mode)),
        {**to_wire(last), "layer": "block.relu#1"},
        "last call",
    )


# Where it lies.


@pytest.mark.parametrize("channel", [0, 3])
def test_by_default_the_unit_is_the_one_in_the_centre(channel):
    found = field_of(TINY, layer="last", channel=channel)
    assert found.position == (4, 4)
    asked = field_of(TINY, layer="last", channel=channel, position=[4, 4])
    assert_near(to_wire(found), to_wire(asked), "centre")
    null = field_of(TINY, layer="last", channel=channel, position=None)
    assert null.position == (4, 4)


@pytest.mark.parametrize(("layer", "channel", "position"), UNITS)
def test_the_box_in_the_photo_holds_what_the_gradient_reaches_and_no_more(layer, channel, position):
    """Scaled to 36 pixels of its shorter side, the photo is cut to 32 in its middle."""
    answer = document(
        TINY, PHOTO, receptive_field={"layer": layer, "channel": channel, "position": position}
    )
    found, (left, top, right, bottom) = answer.receptive_field, answer.input.crop
    rows, columns = np.nonzero(found.map)
    region = seen_by(found.theoretical, found.position, (32, 32))
    assert rows.min() >= region.top and rows.max() < region.bottom
    assert columns.min() >= region.left and columns.max() < region.right
    per_y, per_x = (bottom - top) / 32, (right - left) / 32
    box = np.array(found.box)
    exact = np.array([region.left, region.top, region.right, region.bottom], dtype=float)
    exact = exact * [per_x, per_y, per_x, per_y] + [left, top, left, top]
    assert (box[:2] <= exact[:2] + 1e-9).all() and (box[2:] >= exact[2:] - 1e-9).all()
    assert np.abs(box - exact).max() < 1
    assert left <= box[0] < box[2] <= right and top <= box[1] < box[3] <= bottom


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    stride=st.tuples(st.sampled_from([0.5, 1.0, 2.0, 8.0]), st.sampled_from([1.0, 4.0])),
    offset=st.tuples(st.sampled_from([-3.0, 0.0, 0.5, 7.5]), st.sampled_from([-1.5, 0.0, 3.0])),
    position=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    image=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_a_region_is_the_pixels_that_the_arithmetic_names(size, stride, offset, position, image):
    region = seen_by(TheoreticalField(size, stride, offset, False), position, image)
    for axis, (first, last) in enumerate(
        ((region.top, region.bottom), (region.left, region.right))
    ):
        centre, reach = offset[axis] + position[axis] * stride[axis], (size[axis] - 1) / 2
        seen = [i for i in range(image[axis]) if centre - reach <= i <= centre + reach]
        assert list(range(first, last)) == seen
    assert seen_by(TheoreticalField(size, stride, offset, True), position, image).sides == image
    assert seen_by(None, position, image).sides == image


@settings(deadline=None)
@given(
    top=st.integers(0, 30),
    left=st.integers(0, 30),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    window=st.integers(1, 20),
    share=st.integers(1, 20),
)
def test_windows_cover_each_pixel_of_a_region_as_often(top, left, height, width, window, share):
    stride = min(share, window)
    region = Region(top, left, top + height, left + width)
    counts, size = np.zeros((60, 60)), (60, 60)
    windows = windows_over(region, window, stride, size)
    for one in windows:
        counts[one.places] += 1
        overlap = np.zeros(size)
        overlap[one.places] += 1
        overlap[region.places] += 1
        assert overlap.max() == 2, "a window that misses the region is run for nothing"
    least, most = (window // stride) ** 2, (-(-window // stride)) ** 2
    assert counts[region.places].min() >= least and counts[region.places].max() <= most


def test_a_photo_is_drawn_on_where_it_was_cut():
    ref = InputRef(640, 480, (110, 30, 530, 450), (224, 224))
    assert Region(0, 0, 224, 224).in_photo(ref) == ref.crop
    assert Region(0, 112, 112, 224).in_photo(ref) == (320, 30, 530, 240)
    assert Region(1, 1, 2, 2).in_photo(ref) == (111, 31, 114, 34)


def test_a_unit_that_sees_everything_has_the_whole_crop():
    """Behind a gate that looks at the whole map."""
    session = open_session(seeded(GatedNet))
    found = document(session, PHOTO, receptive_field={"layer": "pool", "channel": 0})
    assert found.receptive_field.theoretical.whole
    assert found.receptive_field.box == found.input.crop


# What is refused.


@pytest.mark.parametrize(
    ("asked", "type", "where", "hint"),
    [
        ({"layer": "lst", "channel": 0}, "unknown_layer", "receptive_field.layer", "'last'"),
        ({"layer": "block.*", "channel": 0}, "bad_value", "receptive_field.layer", "block.conv1"),
        ({"layer": "last", "channel": 12}, "bad_value", "receptive_field.channel", "0 to 11"),
        (
            {"layer": "last", "channel": 0, "position": [0, 8]},
            "bad_value",
            "receptive_field.position",
            "[0, 0] to [7, 7]",
        ),
        (
            {"layer": "last", "channel": 0, "position": [10**30, 0]},
            "bad_value",
            "receptive_field.position",
            "[0, 0] to [7, 7]",
        ),
    ],
)
def test_what_the_model_does_not_have_is_refused_with_its_place(asked, type, where, hint):
    found = problem(TINY, receptive_field=asked)
    assert (found.type, found.code, found.where) == (type, 400, where)
    assert hint in found.hint and len(found.message) < 200


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layer", ["head", "pair", "row_mean", "windows", "scale"])
def test_a_layer_without_places_is_unsupported_and_nothing_is_run_for_it(layer, mode):
    session = open_session(seeded(TellingNet))
    answer = document(session, receptive_field={"layer": layer, "channel": 0, "mode": mode})
    found = answer.receptive_field
    assert (found.problem.type, found.problem.where) == ("unsupported", "receptive_field.layer")
    assert (found.map, found.box, found.position, found.window) == (None,) * 4
    assert answer.cost.forwards == 1 and answer.predictions


def test_a_unit_that_no_gradient_leads_from_is_unsupported_and_occlusion_is_not():
    session = open_session(seeded(CutNet))
    found = field_of(session, layer="act", channel=0)
    assert found.problem.type == "unsupported" and "act" in found.problem.message
    assert field_of(session, layer="act", channel=0, mode="occlusion").map.any()


def test_a_unit_that_is_not_finite_is_a_problem_of_its_entry():
    session = open_session(seeded(OverflowNet, where="layer"))
    for mode in MODES:
        found = field_of(session, plain(255), layer="mask", channel=0, mode=mode)
        assert found.problem.type == "unsupported" and found.map is None and found.value is None


def test_what_a_unit_sees_is_not_changed_by_an_edit_beside_it():
    asked = {"layer": "block", "channel": 1, "mode": "occlusion"}
    edits = [{"layer": "stem", "channels": "all"}]
    answer = document(TINY, PHOTO, receptive_field=asked, ablate=edits)
    alone = document(TINY, PHOTO, receptive_field=asked)
    assert_near(to_wire(answer.receptive_field), to_wire(alone.receptive_field), "field")
    assert answer.cost.forwards == alone.cost.forwards + 1
    assert answer.ablation.problem is None
