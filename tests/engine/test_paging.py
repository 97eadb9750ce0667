"""No answer is larger than it may be, and nothing that was asked for is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_nets import PooledNet, TellingNet
from tiny_net import TinyNet
from torch import nn

from servelens.codec import pack_json, pack_npz, write_json, write_npz
from servelens.engine.budget import Limits
from servelens.engine.folder.card import OutputSpec
from servelens.protocol import Document, Problem, Request

PHOTO = photo(seed=9)


class WideNet(PooledNet):
    """Many channels, small maps and large ones, and one layer whose values are too small for half
    precision in all channels but one."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(6, 96, 1)
        self.faint = nn.Conv2d(96, 40, 1)
        self.small = nn.AdaptiveAvgPool2d(3)
        self.flat = nn.Flatten()
        self.head = nn.Linear(40 * 9, 4)

    def logits(self, x):
        return self.head(self.flat(self.small(self.faint(self.wide(self.features(x))))))


def wide():
    session = open_session(seeded(WideNet))
    faint = session.model.module.faint
    faint.weight.data *= 1e-6
    faint.bias.data *= 1e-6
    faint.weight.data[7] *= 1e6
    faint.bias.data[7] = 1.0
    return session


WIDE = wide()
TINY = open_session(seeded(TinyNet))
LAYERS = ["conv", "wide", "small", "faint", "head"]


def answer(session, limit: int, asked: Request) -> Document | Problem:
    session.limits = replace(session.limits, response_bytes=limit)
    try:
        return session.run([asked])[0]
    finally:
        session.limits = Limits()


def encoded(found: Document, asked: Request) -> bytes:
    """As it goes out, with the time of its packing, which is not known before."""
    if asked.format == "npz":
        packed, arrays = pack_npz(found, asked.dtype)
        packed["cost"]["ms"]["encode"] = 12345.678
        return write_npz(packed, arrays)
    packed = pack_json(found, asked.dtype)
    packed["cost"]["ms"]["encode"] = 12345.678
    return write_json(packed)


def pages(session, limit: int, image: bytes, activations, **keys):
    """All pages of all entries, as a caller that follows `next` gets them; and their requests."""
    waiting = [activations]
    while waiting:
        asked = request(image, activations=waiting.pop(0), **keys)
        found = answer(session, limit, asked)
        assert isinstance(found, Document), found
        yield found, asked
        for entry in found.activations:
            if entry.next is not None:
                assert entry.next.channels, "a next page has something on it"
                waiting.append({"layers": [entry.layer], "channels": list(entry.next.channels)})


@pytest.mark.parametrize("format", ["json", "npz"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
@pytest.mark.parametrize("limit", [12_000, 15_000, 30_000, 100_000])
def test_following_the_pages_gives_every_channel_once_and_no_page_is_too_large(
    format, dtype, limit
):
    keys = {"format": format, "dtype": dtype}
    everything = {"layers": LAYERS, "channels": "all"}
    whole = {e.layer: e for e in document(WIDE, PHOTO, activations=everything).activations}
    got: dict[str, dict[int, np.ndarray]] = {layer: {} for layer in LAYERS}
    first = True
    for found, asked in pages(WIDE, limit, PHOTO, everything, **keys):
        assert len(encoded(found, asked)) <= limit
        for entry in found.activations:
            assert len(entry.channels) == len(entry.maps)
            for channel, values in zip(entry.channels, entry.maps, strict=True):
                assert channel.index not in got[entry.layer], "no channel twice"
                got[entry.layer][channel.index] = values
            assert entry.statistics == whole[entry.layer].statistics, "of all channels, on any page"
            if first and entry.next is not None:
                order = [c.index for c in entry.channels] + list(entry.next.channels)
                assert order == [c.index for c in whole[entry.layer].channels]
        first = False
    for layer, entry in whole.items():
        assert set(got[layer]) == set(range(entry.shape[0]))
        for channel, values in zip(entry.channels, entry.maps, strict=True):
            np.testing.assert_array_equal(got[layer][channel.index], values)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limit=st.one_of(st.integers(0, 8000), st.integers(2000, 120_000)),
    format=st.sampled_from(["json", "npz"]),
    dtype=st.sampled_from(["auto", "float32"]),
    layers=st.lists(st.sampled_from([*LAYERS, "*"]), min_size=1, max_size=4),
    channels=st.sampled_from(["all", 1, 16, 50]),
    maps=st.booleans(),
    statistics=st.booleans(),
    sort_by=st.sampled_from(["activation", "variance", "random", "relevance"]),
    explain=st.sampled_from([False, "grad_cam", "saliency"]),
    id=st.sampled_from([None, "x", "\U0001f41d" * 128, "漢" * 128]),
)
def test_whatever_the_budget_an_answer_is_within_it_or_says_that_it_cannot_be(
    limit, format, dtype, layers, channels, maps, statistics, sort_by, explain, id
):
    asked = request(
        PHOTO,
        activations={
            "layers": layers,
            "channels": channels,
            "maps": maps,
            "statistics": statistics,
            "sort_by": sort_by,
        },
        explain=explain,
        format=format,
        dtype=dtype,
        id=id,
    )
    found = answer(WIDE, limit, asked)
    if isinstance(found, Document):
        assert len(encoded(found, asked)) <= limit
        assert any(entry.channels for entry in found.activations)
    else:
        assert (found.type, found.code) == ("response_too_large", 413)
        assert found.hint
        assert limit < 60_000, "a page of something fits"


@pytest.mark.parametrize("format", ["json", "npz"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
@pytest.mark.parametrize("layer", ["conv", "wide", "small", "faint"])
def test_a_page_is_made_only_where_the_whole_does_not_nearly_fit(layer, format, dtype):
    """Fewer channels than would fit are further calls for nothing."""
    keys = {"format": format, "dtype": dtype, "activations": {"layers": [layer], "channels": "all"}}
    asked = request(PHOTO, **keys)
    whole = encoded(document(WIDE, PHOTO, **keys), asked)
    found = answer(WIDE, int(1.5 * len(whole)) + 2000, asked)
    assert found.activations[0].next is None


def test_an_explicit_list_of_channels_is_paged_in_the_order_given():
    wanted = [90, 3, 55, 3, 0, 17, 20, 21, 22, 60, 61, 62, 63, 64, 65, 66, 67, 68]
    found = answer(
        WIDE, 12_000, request(PHOTO, activations={"layers": ["wide"], "channels": wanted})
    )
    (entry,) = found.activations
    assert entry.next is not None
    assert [c.index for c in entry.channels] + list(entry.next.channels) == wanted


@pytest.mark.parametrize("format", ["json", "npz"])
@pytest.mark.parametrize("limit", range(12_000, 40_000, 4000))
def test_a_cut_that_drops_the_channel_that_let_half_precision_do_is_measured_again(limit, format):
    """All but channel 7 are too small for float16: with it they are zeros, without it float32."""
    wanted = [index for index in range(40) if index != 7] + [7]
    asked = request(PHOTO, activations={"layers": ["faint"], "channels": wanted}, format=format)
    found = answer(WIDE, limit, asked)
    (entry,) = found.activations
    if entry.next is not None:
        assert entry.channels and entry.next.channels[-1] == 7
        assert np.abs(entry.maps).max() < 6.2e-5
    assert len(encoded(found, asked)) <= limit


def test_of_several_layers_the_first_are_filled_first_and_the_others_name_all_theirs():
    asked = request(PHOTO, activations={"layers": ["wide", "conv"], "channels": "all"})
    first, second = answer(WIDE, 30_000, asked).activations
    assert first.channels and first.next is not None
    assert not second.channels
    assert len(second.next.channels) == 6
    assert second.statistics is not None and second.maps.shape == (0, 16, 16)


def test_where_not_even_one_channel_fits_the_answer_says_what_would():
    found = answer(WIDE, 2500, request(PHOTO, activations={"layers": ["wide"], "channels": 1}))
    assert found.type == "response_too_large"
    assert "2,500" in found.message
    assert "npz" in found.hint


@pytest.mark.parametrize("format", ["json", "npz"])
@pytest.mark.parametrize(
    "explain", ["saliency", ["saliency", "grad_cam"], {"method": "saliency", "per_channel": True}]
)
def test_attributions_are_never_cut_but_refused(explain, format):
    asked = request(PHOTO, explain=explain, format=format, dtype="float32", target="top:3")
    whole = answer(WIDE, 10**9, asked)
    size = len(encoded(whole, asked))
    assert isinstance(answer(WIDE, size + 6000, asked), Document)
    found = answer(WIDE, size - 1, asked)
    assert (found.type, found.code) == ("response_too_large", 413)
    assert f"{size - 1:,}" in found.message


def test_next_to_attributions_activations_take_what_is_left():
    keys = {"explain": "saliency", "dtype": "float32"}
    maps_alone = len(encoded(document(WIDE, PHOTO, **keys), request(PHOTO, **keys)))
    asked = request(PHOTO, activations={"layers": ["wide"], "channels": "all"}, **keys)
    found = answer(WIDE, maps_alone + 20_000, asked)
    assert found.attributions[0].map is not None
    assert found.activations[0].channels and found.activations[0].next is not None
    assert len(encoded(found, asked)) <= maps_alone + 20_000


def test_entries_that_carry_nothing_count_too():
    """Forty layers without channels: their problems alone are more than the budget."""
    session = open_session(seeded(TellingNet))
    asked = request(PHOTO, activations={"layers": ["pair", "conv"], "channels": 1})
    document_of_two = answer(session, 10**6, asked)
    size = len(encoded(document_of_two, asked))
    found = answer(session, size - 1, asked)
    assert isinstance(found, Problem)
    assert found.type == "response_too_large"


def test_a_label_that_is_no_text_can_be_measured_all_the_same():
    labels = ("a", "b", "\ud800", "d")
    session = open_session(seeded(PooledNet), output=OutputSpec(labels))
    found = document(session, activations="conv", explain="grad_cam", target=2)
    assert found.attributions[0].target.label == "\ud800"


def test_a_bare_prediction_is_not_measured():
    assert isinstance(answer(WIDE, 10, request(PHOTO)), Document)


def test_without_maps_the_channels_are_listed_alone():
    asked = {"layers": ["block", "last"], "channels": "all", "maps": False, "statistics": False}
    for entry in document(TINY, PHOTO, activations=asked).activations:
        assert entry.maps is None
        assert entry.statistics is None
        assert len(entry.channels) == entry.shape[0]


@pytest.mark.parametrize("channels", [[0, 12], [10**6], [10**400]])
def test_a_channel_that_the_layer_does_not_have_is_a_bad_value(channels):
    found = problem(TINY, activations={"layers": ["last"], "channels": channels})
    assert (found.type, found.where) == ("bad_value", "activations.channels")
    assert "0 to 11" in found.hint
    assert len(found.message) < 200


def test_a_number_above_the_layers_channels_means_all_of_them():
    (entry,) = document(TINY, activations={"layers": ["last"], "channels": 500}).activations
    assert len(entry.channels) == 12
    assert entry.next is None
