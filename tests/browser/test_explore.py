"""Looking into a network: its layers, their channels, single units, and the way through it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from browser_fixtures.pages import asked_from_now_on
from playwright.sync_api import Locator, Page, expect

from servelens.local import TorchServe
from servelens_dashboard.figures.look import chance
from servelens_dashboard.shelf import Shelf

MODEL = "shapes-clean"
SHAPES = "document.querySelector('#channel-look .js-plotly-plot').layout.shapes"
# Nothing has stayed away that is still to come: the page feels its pulse all the time.
A_WHILE_MS = 1500


def click_point(points: Locator, number: int) -> None:
    """A point of a graph has a surface over it that takes the clicks."""
    box = points.nth(number).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    points.page.mouse.click(x, y)


def boxes(page: Page, name: str) -> list[list[float]]:
    """What is boxed on the channel's map, as left, top, right and bottom."""
    given = f"{SHAPES}.filter(s => s.name === '{name}').map(s => [s.x0, s.y0, s.x1, s.y1])"
    found: list[list[float]] = page.evaluate(given)
    return found


def looked_into(page: Page) -> Locator:
    """The channel's map, with the box of its unit."""
    graph = page.locator("#channel-look .js-plotly-plot").first
    expect(graph.locator(".layer-above image")).to_be_attached()
    return graph.locator(".nsewdrag")


def test_a_layer_is_chosen_in_the_diagram(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}")
    points = page.locator("#network .scatterlayer .point")
    expect(points).to_have_count(5)
    click_point(points, 1)
    expect(page.locator("#atlas")).to_contain_text("16 channels of stage1")
    assert "layer=stage1" in page.url
    tree = page.get_by_role("navigation", name="Layers")
    expect(tree.locator("a.here")).to_have_text("stage1 Sequential")
    page.go_back()
    expect(page.locator("#atlas")).to_contain_text("64 channels of stage3")


def test_layers_and_channels_are_stepped_through_by_keys(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}&layer=stem.relu")
    first = page.get_by_role("link", name="Look at the first", exact=True).get_attribute("href")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#channel-head nav a").first).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape(first or "nowhere")))
    page.goto(f"/explore?model={MODEL}&layer=stem.relu&channel=3")
    expect(page.locator("#channel-head nav a").first).to_be_visible()
    after = page.locator("#channel-head .after").get_attribute("href") or ""
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(re.escape(after)))
    expect(page.locator("#channel-head .before")).to_have_attribute("href", re.compile("channel=3"))
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("channel=3$"))
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("layer=stem$"))
    expect(page.locator(".layer-tree a.here")).to_have_text("stem Sequential")
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile("layer=stem.relu$"))


def test_a_channel_is_knocked_out_and_the_prediction_changes(
    page: Page, torchserve: TorchServe, root: Path, tmp_path: Path
) -> None:
    page.goto(f"/explore?model={MODEL}&layer=stage3")
    page.get_by_role("textbox", name="Order of the channels").click()
    page.get_by_role("option", name="most missed by the class").click()
    expect(page).to_have_url(re.compile("sort=ablation"))
    expect(page.locator("#atlas")).to_contain_text("most missed by the class first")
    page.locator("#atlas .nsewdrag").click(position={"x": 20, "y": 20})
    expect(page).to_have_url(re.compile(r"channel=\d+"))
    out = page.get_by_role("link", name="Knock this channel out")
    out.focus()
    scrolled = page.evaluate("scrollY")
    out.press("Enter")
    words = page.locator("#channel-out .judgement")
    expect(words).to_contain_text("Without it the model")
    assert page.evaluate("scrollY") == scrolled > 0
    assert "out=1" in page.url
    back = page.get_by_role("link", name="Bring this channel back")
    expect(back).to_be_focused()

    (number,) = re.findall(r"channel=(\d+)", page.url)
    samples = Shelf(tmp_path, 0, 0, root / "archives" / "demo" / "samples")
    edit = {"layer": "stage3", "channels": [int(number)]}
    first = samples.get(next(iter(samples.samples)))
    told = torchserve.client.predict(MODEL, first, ablate=[edit]).ablation
    assert told is not None
    logits = [{p.label: p.logit for p in part}["disc"] for part in (told.before, told.after)]
    assert logits[1] < logits[0]
    row = page.locator(".changes").get_by_role("row", name="disc")
    expect(row.get_by_role("cell").first).to_have_text(chance(told.before[0].probability))
    change = row.get_by_role("cell").last.text_content() or ""
    assert float(change) == pytest.approx(logits[1] - logits[0], rel=0.01)

    said = words.text_content() or ""
    page.reload()
    expect(words).to_have_text(said)
    back.click()
    expect(words).to_have_count(0)
    expect(out).to_be_visible()
    assert "out" not in page.url
    page.go_back()
    page.go_forward()
    page.go_back()
    expect(words).to_have_text(said)


def test_what_a_unit_sees_follows_the_pointer_and_stays_where_it_is_clicked(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}&layer=stage2&channel=5")
    there = looked_into(page)
    assert len({tuple(box) for box in boxes(page, "field")}) == 1
    there.hover(position={"x": 100, "y": 100})
    page.wait_for_function(f"() => {SHAPES}.some(s => s.name === 'hovered')")
    (hovered,) = boxes(page, "hovered")
    there.click(position={"x": 100, "y": 100})
    expect(page).to_have_url(re.compile(r"at=\d+,\d+"))
    (row, column) = re.findall(r"at=(\d+),(\d+)", page.url)[0]
    said = page.locator("#channel-look figcaption").nth(1)
    expect(said).to_contain_text(f"The unit at row {row}, column {column}")
    expect(said).to_contain_text("can see 23 × 23 pixels")
    page.mouse.move(0, 0)
    page.wait_for_function(f"() => !{SHAPES}.some(s => s.name === 'hovered')")
    assert boxes(page, "field")[0] == hovered


def test_filters_are_shown_where_there_are_any_and_pointed_to_where_not(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}&layer=stem.conv&channel=5")
    learned = page.locator("#channel-learned")
    expect(learned).to_contain_text("The 16 filters of stem.conv in the colours")
    expect(learned).to_contain_text("432 weights of stem.conv")
    expect(learned).to_contain_text(re.compile(r"rank \d+ of 16"))
    page.goto(f"/explore?model={MODEL}&layer=stage1&channel=5")
    expect(learned).to_contain_text("stage1 has no weights of its own")
    learned.get_by_role("link", name="stage1.0.conv2").click()
    expect(page.locator("#atlas")).to_contain_text("16 channels of stage1.0.conv2")


def test_the_way_through_the_network_is_played_without_asking(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}")
    words = page.locator("#journey-words")
    expect(words).to_contain_text("stage3, channel")
    heat = page.locator("#journey .layer-above image")
    expect(heat).to_be_attached()
    page.evaluate(
        """() => {
          const words = document.getElementById("journey-words");
          const tell = () => window.told.push(words.innerText.split(",")[0]);
          window.told = [];
          new MutationObserver(tell).observe(
            words, { subtree: true, characterData: true, childList: true });
        }"""
    )
    asked = asked_from_now_on(page)
    last = heat.get_attribute("href")
    play = page.locator("#journey-play")
    play.click()
    expect(play).to_have_text("Pause")
    expect(heat).not_to_have_attribute("href", last or "")
    expect(play).to_have_text("Play")
    expect(heat).to_have_attribute("href", last or "")
    told: list[str] = page.evaluate("window.told")
    assert told == ["stem", "stage1", "stage2", "stage3"]
    assert not [body for body in asked if "pulse" not in body]


def test_whoever_wants_no_motion_steps_by_the_arrow_keys(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"/explore?model={MODEL}")
    words = page.locator("#journey-words")
    expect(words).to_contain_text("stage3, channel")
    expect(page.locator("#journey-play")).to_be_hidden()
    slider = page.get_by_role("slider", name="Depth")
    slider.press("ArrowLeft")
    expect(words).to_contain_text("stage2, channel")
    slider.press("Home")
    expect(words).to_contain_text("stem, channel")
    page.wait_for_timeout(A_WHILE_MS)
    expect(words).to_contain_text("stem, channel")


def test_a_photo_is_paler_under_a_map_unless_that_is_not_wanted(page: Page) -> None:
    page.goto(f"/?model={MODEL}")
    photo = page.locator(".over-photo .layer-subplot image").first
    expect(photo).to_have_css("filter", "saturate(0.2)")
    page.locator("label", has_text="Pale photo").click()
    expect(photo).to_have_css("filter", "none")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("layer=stage3&channel=999", "here is no channel 999"),
        ("layer=stage2&channel=5&at=99,99", "has no place [99, 99]"),
        ("layer=nothing", "nothing"),
        ("sort=beauty", "beauty"),
    ],
)
def test_a_broken_link_into_a_network_says_what_is_wrong(
    page: Page, address: str, told: Any
) -> None:
    page.goto(f"/explore?model={MODEL}&{address}")
    expect(page.get_by_role("alert").first).to_contain_text(told)


def test_from_channel_to_channel_the_atlas_is_marked_and_not_sent_again(page: Page) -> None:
    page.goto(f"/explore?model={MODEL}&layer=stage2&channel=3#colours=magma")
    marked = "document.querySelector('#atlas .js-plotly-plot').layout.shapes"
    heat = page.locator("#atlas .layer-subplot image").first
    expect(heat).to_be_attached()
    expect(page.locator("#channel-head .after")).to_be_visible()
    first, colours = page.evaluate(marked), heat.get_attribute("href")
    assert len(first) == 1
    asked = asked_from_now_on(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#channel-head h2")).not_to_contain_text("Channel 3")
    page.wait_for_function(f"([first]) => {marked}[0].x0 !== first.x0", arg=first)
    assert any('"channel-look.children"' in body for body in asked)
    assert not any('"atlas.children"' in body for body in asked)
    assert heat.get_attribute("href") == colours
    page.get_by_role("link", name="close", exact=True).click()
    page.wait_for_function(f"() => {marked}.length === 0")
