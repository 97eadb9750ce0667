"""Pages on a narrow screen: all of each is there, one below the other, and none of it cut off."""

from __future__ import annotations

from itertools import pairwise

import pytest
from browser_fixtures.looking import NARROW, SIGHTS, WIDE, Sight, controls, outside, see, unfold
from playwright.sync_api import FloatRect, Locator, Page

# A graph follows its column a moment later.
FITTED = """() => [...document.querySelectorAll(".js-plotly-plot")].every((graph) => {
  const drawn = graph.querySelector(".main-svg");
  return drawn && Math.abs(drawn.clientWidth - graph.clientWidth) <= 1;
})"""
# Photo, classes, method, layers, as far as a page has them.
ORDER = {
    "/": (".over-photo", ".predictions", "#add-method", ".method [id*='@layer']"),
    "/explore?layer=stem.conv&channel=5&out=1": (
        "#channel-look .over-photo",
        ".predictions",
        ".layer-tree",
    ),
    "/compare": (".over-photo", "#compare-predictions .graph", "#models"),
}
# By how much the bar of looks covers the end of a page, in pixels.
COVERED = """() => {
  const bar = document.querySelector(".look").getBoundingClientRect().height;
  return bar - parseFloat(getComputedStyle(document.querySelector("main")).paddingBottom);
}"""


@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_nothing_is_cut_off_and_no_control_is_lost(page: Page, sight: Sight) -> None:
    page.set_viewport_size(NARROW)
    see(page, sight)
    unfold(page)
    assert outside(page) == []
    assert page.evaluate(COVERED) <= 0
    for column in page.locator("main > div").all():
        place = _box(column)
        assert (place["x"], place["width"]) == (0, NARROW["width"])
    order = ORDER.get(sight.address, ())
    for above, below in pairwise(_box(page.locator(part).first) for part in order):
        assert above["y"] + above["height"] <= below["y"]
    narrow = controls(page)
    page.set_viewport_size(WIDE)
    page.wait_for_function(FITTED)
    assert outside(page) == []
    assert controls(page) == narrow


def _box(part: Locator) -> FloatRect:
    box = part.bounding_box()
    assert box is not None
    return box
