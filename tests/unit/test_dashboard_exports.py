"""Where files of what is shown are fetched: addresses, names, and what is no file."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servelens_dashboard.exports import FILES, KINDS, address, file_name
from servelens_dashboard.url_state import Entry, Named, View, parse

anything = st.text(max_size=40)


@settings(deadline=None)
@given(anything, anything)
def test_a_name_of_a_file_has_nothing_that_could_do_harm(model: str, part: str) -> None:
    view = View(models=(Named(model or "m"),), photo=part)
    name = file_name(view, part)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,59}|", name)
    assert not name.startswith(".")


@given(anything)
def test_an_address_brings_back_its_view_and_its_part(part: str) -> None:
    view = View("explain", (Named("a b", "1.0"),), "f" * 32, methods=(Entry("occlusion", "x"),))
    for kind in KINDS:
        there = urlsplit(address(FILES, kind, view, part))
        assert there.path == f"/export/{kind}/explain"
        assert parse("explain", there.query) == view
        assert parse_qs(there.query, keep_blank_values=True)["part"] == [part]


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_with_nothing_said_has_an_address_too(kind: str) -> None:
    assert address(FILES, kind, View("compare"), "maps") == f"/export/{kind}/compare?part=maps"
