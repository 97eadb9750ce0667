"""What a person does with the dashboard, from the first visit on."""

from __future__ import annotations

import json
import re

import pytest
from browser_fixtures.pages import (
    HEAT,
    asked_from_now_on,
    explained,
    on_the_way,
    sentence,
)
from playwright.sync_api import Page, expect

from servelens.local import TorchServe

# The colour bars of all panels end alike.
ON_ONE_SCALE = """() => {
  const ends = [...document.querySelectorAll(".panel")].map((panel) =>
    [...panel.querySelectorAll(".colorbar text")].map((text) => text.textContent).join());
  return ends[0] !== "" && ends.every((end) => end === ends[0]);
}"""
# The page looks at the server so often.
PULSE_MS = 3000


def test_the_first_visit_shows_a_photo_with_its_heat_and_a_sentence(page: Page) -> None:
    page.goto("/")
    explained(page)
    expect(sentence(page)).to_contain_text(re.compile(r"^disc, 0\.\d+; \d+ % of the evidence"))
    expect(page.get_by_role("row", name="disc")).to_have_attribute("aria-current", "true")
    expect(page.locator("#health")).to_have_text("2 models")
    expect(page.get_by_role("textbox", name="Model")).to_have_value("shapes-clean 1.0")


def test_a_shortcut_is_caught(page: Page) -> None:
    page.goto("/?model=shapes-shortcut")
    explained(page)
    expect(sentence(page)).to_contain_text("in the lower right corner")


def test_a_map_comes_with_evidence_on_whether_to_believe_it(page: Page) -> None:
    page.goto("/?model=shapes-shortcut")
    explained(page)
    card = page.locator(".trust")
    expect(card.get_by_role("heading", name="Is it to be believed?")).to_be_visible()
    expect(card.locator(".judgement")).to_contain_text("emoving what it marks")
    expect(card.locator(".findings li")).to_have_count(4)
    curves = card.locator(".graph")
    expect(curves).to_have_attribute("aria-label", re.compile("at random 0"))
    expect(card.locator("summary", has_text="not checked")).to_be_visible()


def test_a_slow_map_is_checked_when_a_person_asks_for_it(page: Page) -> None:
    page.goto("/?method=occlusion~window=16")
    check = page.get_by_role("button", name="Check this map")
    expect(check).to_be_visible()
    check.click()
    judgement = page.locator(".judgement")
    expect(judgement).to_contain_text("emoving what it marks")
    with page.expect_response(lambda answer: "card" in (answer.request.post_data or "")):
        page.locator("#scheme").click()
    expect(judgement).to_contain_text("emoving what it marks")


def test_a_class_that_is_clicked_is_explained_and_stays_so(page: Page) -> None:
    page.goto("/")
    explained(page)
    page.get_by_role("link", name="square", exact=True).click()
    expect(sentence(page)).to_have_text(re.compile("^square"))
    assert "class=2" in page.url
    page.reload()
    expect(sentence(page)).to_have_text(re.compile("^square"))


def test_any_class_is_found_by_its_letters_and_given_up_again(page: Page) -> None:
    page.goto("/")
    explained(page)
    picker = page.get_by_role("textbox", name="Class")
    for letters, option, said in (
        ("squ", "square (2)", "square"),
        ("ring", "ring (1)", "ring"),
        ("squ", "square (2)", "square"),
        ("pred", "the predicted one", "disc"),
    ):
        picker.fill(letters)
        page.get_by_role("option", name=option).click()
        expect(sentence(page)).to_have_text(re.compile(f"^{said}"))
        expect(picker).to_have_value("")
    assert "class=" not in page.url


def test_one_class_is_set_against_another(page: Page) -> None:
    page.goto("/")
    explained(page)
    page.get_by_role("link", name="square", exact=True).click(modifiers=["Shift"])
    expect(sentence(page)).to_contain_text("disc rather than square")
    assert "versus=2" in page.url


def test_methods_stand_beside_each_other_with_a_form_each(page: Page) -> None:
    page.goto("/")
    explained(page)
    page.get_by_role("textbox", name="Methods").click()
    page.get_by_role("option", name="Integrated gradients", exact=True).click()
    panels = page.locator(".panel")
    expect(panels).to_have_count(2)
    steps = page.get_by_role("textbox", name="steps")
    steps.fill("7")
    steps.blur()
    expect(page).to_have_url(re.compile("integrated_gradients~steps=7"))
    expect(panels.nth(1)).to_contain_text("and 7 backward passes")
    page.get_by_role("link", name="one scale", exact=True).click()
    expect(panels.nth(1)).to_contain_text("and 7 backward passes")
    bars = [panel.locator(".infolayer .colorbar text") for panel in panels.all()]
    expect(bars[0].first).to_be_attached()
    page.wait_for_function(ON_ONE_SCALE)
    before = bars[0].all_text_contents()
    page.get_by_role("link", name="square", exact=True).click()
    expect(panels.nth(0).locator(".sentence")).to_have_text(re.compile("^square"))
    expect(panels.nth(1).locator(".sentence")).to_have_text(re.compile("^square"))
    expect(bars[0].last).not_to_have_text(before[-1])
    expect(bars[1].last).not_to_have_text(before[-1])
    page.wait_for_function(ON_ONE_SCALE)
    page.get_by_role("link", name="remove Integrated gradients").click()
    expect(panels).to_have_count(1)


def test_looks_change_without_a_round_trip(page: Page) -> None:
    page.goto("/")
    explained(page)
    asked = asked_from_now_on(page)
    heat = page.locator(HEAT).first
    before = heat.get_attribute("href")
    slider = page.get_by_role("slider", name="Opacity")
    slider.press("ArrowLeft")
    expect(heat).not_to_have_attribute("href", before or "")
    fainter = heat.get_attribute("href")
    page.get_by_role("combobox", name="Colours").select_option("Magma")
    expect(heat).not_to_have_attribute("href", fainter or "")
    assert not [body for body in asked if "pulse" not in body]


@pytest.mark.parametrize(
    ("here", "link", "there"),
    [("/models", "Explain", ".panel"), ("/", "Models", "#models-table table")],
)
def test_a_change_at_the_server_does_not_bring_back_the_page_that_was_left(
    page: Page, here: str, link: str, there: str
) -> None:
    page.goto(here)
    way = page.get_by_role("link", name=link, exact=True)
    expect(way).to_be_visible()
    expect(page.locator("#health")).to_have_text("2 models")
    with on_the_way(page):
        way.click()
        page.wait_for_url(f"**/{link.lower()}*")
        with page.expect_response(lambda r: "..page.children" in (r.request.post_data or "")):
            page.evaluate("dash_clientside.set_props('pulse', { data: 'another' })")
    expect(page.locator(there).first).to_be_visible()


def test_slow_work_shows_its_progress_and_can_be_stopped(page: Page) -> None:
    page.goto("/?method=rise~samples=9999")
    panel = page.locator(".panel")
    expect(panel.get_by_role("progressbar")).to_be_visible()
    explained(page)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("%, stopped")
    asked = asked_from_now_on(page, "rise")
    page.wait_for_timeout(2000)
    assert not asked
    done = panel.get_by_role("progressbar").get_attribute("value")
    panel.get_by_role("button", name="Go on").click()
    expect(panel.get_by_role("progressbar")).not_to_have_attribute("value", done or "")


def test_channels_are_looked_at(page: Page) -> None:
    page.goto("/explore")
    layers = page.get_by_role("navigation", name="Layers")
    layers.get_by_text("stage 2", exact=True).click()
    layers.get_by_role("link", name="stage2 Sequential", exact=True).click()
    expect(page.locator("#atlas")).to_contain_text(
        "32 channels of stage2, strongest first, each on its own scale"
    )
    expect(page.locator("#statistics")).to_contain_text("of 32")
    expect(page.locator("#journey .layer-above image").first).to_be_attached()
    page.locator("#atlas .js-plotly-plot .nsewdrag").click(position={"x": 20, "y": 20})
    expect(page.locator("#channel-head")).to_contain_text(re.compile(r"Channel \d+"))
    assert re.search(r"layer=stage2&channel=\d+", page.url)


def test_models_are_compared_on_one_photo(page: Page) -> None:
    page.goto("/compare")
    panels = page.locator(".panel")
    expect(panels).to_have_count(2)
    expect(page.locator("#compare-predictions")).to_contain_text("Both models say disc.")
    expect(page.locator("#compare-maps > .sentence")).to_contain_text("of shapes-shortcut's")
    expect(page.locator("#compare-depth svg").first).to_be_attached()
    page.get_by_role("link", name="square, marked").click()
    expect(page.locator("#compare-predictions")).to_contain_text(
        re.compile(r"They disagree: shapes-clean says square .*, shapes-shortcut says disc")
    )


def test_models_are_scaled_registered_and_unregistered(
    page: Page, torchserve: TorchServe, said: list[str]
) -> None:
    page.goto("/models")
    rows = page.get_by_role("table", name="Registered models").get_by_role("row")
    expect(rows).to_have_count(3)
    page.get_by_role("textbox", name="Archive of the store").click()
    page.get_by_role("option", name="shapes-clean.mar").click()
    name = page.get_by_role("textbox", name="Name")
    name.fill("no such / name")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.locator("#models-told")).to_contain_text("is no model's name")
    name.fill("second")
    page.get_by_role("button", name="Register", exact=True).click()
    row = rows.filter(has_text="second")
    expect(row).to_contain_text("ready")
    expect(page.locator("#models-told")).to_contain_text("second is registered")
    row.get_by_role("button", name="One worker more").click()
    expect(row).to_contain_text("2")
    assert len(torchserve.client.describe("second").workers) == 2
    row.get_by_text("Unregister…").click()
    row.get_by_role("button", name="Unregister second 1.0").click()
    expect(rows).to_have_count(3)
    assert "second" not in torchserve.client.models()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/?class=many", "must be a number from 0 up, not 'many'"),
        ("/nowhere", "There is no page 'nowhere'"),
        ("/?model=nobody", "No model is registered as 'nobody'"),
        ("/?method=magic", "'magic' is no method of this archive; known:"),
        (f"/?photo={'0' * 32}", "no longer kept here"),
        ("/?class=99", "99"),
    ],
)
def test_a_broken_link_says_what_is_wrong(
    page: Page, said: list[str], address: str, told: str
) -> None:
    page.goto(address)
    expect(page.get_by_role("alert").first).to_contain_text(told)
    if "photo" in address:
        expect(page.locator(".samples img").first).to_be_visible()
        assert all("404" in line for line in said)
        said.clear()


def test_keys_that_have_run_out_are_renewed(page: Page, torchserve: TorchServe) -> None:
    page.goto("/")
    explained(page)
    path = torchserve.front_end.key_file
    before = json.loads(path.read_text())
    before["inference"]["expiration time"] = "2020-01-01T00:00:00.123456789Z"
    path.write_text(json.dumps(before))
    page.wait_for_timeout(2 * PULSE_MS)
    page.locator(".predictions").get_by_role("link", name="triangle", exact=True).click()
    expect(sentence(page)).to_have_text(re.compile("^triangle"))
    after = json.loads(path.read_text())
    assert after["inference"]["key"] != before["inference"]["key"]
    assert sorted(torchserve.client.models()) == ["shapes-clean", "shapes-shortcut"]


def test_a_stopped_server_is_told_and_recovered_from(
    page: Page, torchserve: TorchServe, said: list[str]
) -> None:
    page.goto("/")
    explained(page)
    torchserve.front_end.stop()
    expect(page.locator("#health")).to_have_text("TorchServe does not answer")
    expect(page.get_by_role("alert")).to_contain_text("Start TorchServe")
    torchserve.front_end.start()
    for model in torchserve.models:
        torchserve.register(model)
    explained(page)
    expect(page.locator("#health")).to_have_text("2 models")
