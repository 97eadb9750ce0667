"""Addresses: what is written is read back, and what nobody wrote is told so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servelens_dashboard.url_state import BadAddress, Entry, Named, View, parse

words = st.text("abcdefgh_", min_size=1, max_size=12)
layers = st.text("abc.0123#*", min_size=1, max_size=20)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
entries = st.builds(
    lambda method, layer, params: Entry(method, layer, tuple(sorted(params.items()))),
    words,
    st.none() | layers,
    st.dictionaries(words, scalars, max_size=3),
)
indices = st.none() | st.integers(0, 10**6)
views = st.builds(
    View,
    page=st.sampled_from(["explain", "explore", "compare", "models"]),
    models=st.lists(
        st.builds(Named, words, st.none() | st.text("0123.:", min_size=1, max_size=6)),
        max_size=3,
        unique=True,
    ).map(tuple),
    photo=st.none() | st.text("0123456789abcdef", min_size=32, max_size=32),
    target=indices,
    versus=indices,
    methods=st.lists(entries, max_size=3, unique=True).map(tuple),
    scale=st.sampled_from(["own", "shared"]),
    layer=st.none() | layers,
    channel=indices,
    place=st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    out=st.booleans(),
    sort_by=st.none() | words,
)


@settings(max_examples=300, deadline=None)
@given(views)
def test_an_address_brings_back_its_view(view: View) -> None:
    path, mark, query = view.href.partition("?")
    assert parse(path, mark + query) == view


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_is_typed_is_a_view_or_a_sentence(path: str, query: str) -> None:
    try:
        parse(path, query)
    except BadAddress as error:
        assert str(error).endswith(".")


def test_nothing_said_is_the_first_page() -> None:
    assert parse("/", "") == parse(None, None) == View()


def test_what_a_person_may_type() -> None:
    view = parse("/explain", "?model=shapes:1.0&class=2&method=occlusion@x~window=8~baseline=blur")
    assert view.model == Named("shapes", "1.0")
    assert view.target == 2
    assert view.methods == (Entry("occlusion", "x", (("baseline", "blur"), ("window", 8))),)
    assert view.methods[0].request() == {
        "method": "occlusion",
        "layer": "x",
        "baseline": "blur",
        "window": 8,
    }


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/nowhere", "", "There is no page 'nowhere'; there are explain, explore"),
        ("/", "class=-1", "class must be a number from 0 up, not '-1'"),
        ("/", "class=٣", "class must be a number from 0 up"),
        ("/", "scale=log", "scale must be own or shared, not 'log'"),
        ("/", "at=3", "at must be a row and a column such as 3,5, not '3'"),
        ("/", "at=3,-1", "at must be a row and a column"),
        ("/", "out=yes", "out must be 1 or left out, not 'yes'"),
        ("/", "method=a b", "'a b' is no method's name"),
        ("/", "method=a~b", "'b' is no parameter=value"),
        ("/", "model=:1", "no name"),
        ("/", "&".join(f"method=m{i}" for i in range(7)), "names 7 methods; at most 6"),
        ("/", "x" * 5000, "is 5000 long; at most 4000"),
    ],
)
def test_a_broken_address_says_what_is_wrong(path: str, query: str, said: str) -> None:
    with pytest.raises(BadAddress, match=said):
        parse(path, query)


def test_another_layer_has_other_channels_and_another_channel_other_units() -> None:
    view = View(layer="a", channel=3, place=(1, 2), out=True)
    assert view.at_layer("b") == View(layer="b")
    assert view.at_channel(4) == View(layer="a", channel=4, out=True)
    assert view.at_channel(None) == View(layer="a")


def test_a_parameter_of_none_is_the_default_again() -> None:
    entry = Entry("occlusion").with_param("window", 8).with_param("stride", 4)
    assert str(entry) == "occlusion~stride=4~window=8"
    assert str(entry.with_param("window", None)) == "occlusion~stride=4"
