"""Photos that a person brings: dropped, pasted or taken from the samples."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from browser_fixtures.pages import asked_from_now_on, drop, explained, paste, sentence
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from servelens.local import Dashboard

OWN = re.compile("photo=[0-9a-f]{32}")


def turned(root: Path, name: str) -> bytes:
    """A photo that is none of the samples."""
    own = io.BytesIO()
    with Image.open(root / "archives" / "demo" / "samples" / f"{name}.png") as sample:
        sample.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(own, "PNG")
    return own.getvalue()


def test_with_another_photo_the_page_stays_and_all_of_it_is_of_that_photo(page: Page) -> None:
    page.goto("/?method=grad_cam&method=saliency")
    explained(page)
    form = page.locator(".fields").first
    form.evaluate("element => { element.same = true }")
    ring = page.locator("#samples a", has=page.get_by_role("img", name="ring", exact=False)).first
    ring.click()
    expect(sentence(page)).to_have_text(re.compile("^ring"))
    photo = re.search(r"photo=(\w+)", page.url)
    assert photo is not None
    expect(ring).to_have_class("chosen")
    for link in ("remove Saliency", "one scale", "Explore", "disc"):
        found = page.get_by_role("link", name=link, exact=True)
        expect(found).to_have_attribute("href", re.compile(photo[1]))
    for panel in page.locator(".panel").all():
        expect(panel.locator(".layer-subplot image")).to_have_attribute(
            "href", re.compile(photo[1])
        )
        expect(panel.locator(".judgement")).to_be_visible()
    assert form.evaluate("element => element.same")


def test_a_dropped_image_is_explained_and_its_link_shows_it_to_others(
    page: Page, chromium: Browser, dashboard: Dashboard, root: Path
) -> None:
    page.goto("/")
    explained(page)
    asked = asked_from_now_on(page)
    drop(page, turned(root, "ring"))
    expect(page).to_have_url(OWN)
    expect(sentence(page)).to_contain_text(re.compile("^ring, "))
    link = page.url
    other = chromium.new_context()
    visitor = other.new_page()
    visitor.goto(link)
    expect(sentence(visitor)).to_contain_text(re.compile("^ring, "))
    visitor.goto(dashboard.url)
    expect(sentence(visitor)).to_contain_text(re.compile("^disc, "))
    other.close()
    expect(sentence(page)).to_contain_text(re.compile("^ring, "))
    outputs = [json.loads(body)["output"] for body in asked]
    for part in ("predictions", '{"panel":["MATCH"],"part":"body"}'):
        assert outputs.count(f"{part}.children") == 1


def test_an_image_that_is_pasted_is_explained_wherever_the_keys_are(page: Page, root: Path) -> None:
    """On the page, and in a field, which goes on taking text."""
    page.goto("/explain")
    explained(page)
    paste(page, turned(root, "cross"))
    expect(page).to_have_url(OWN)
    expect(sentence(page)).to_have_text(re.compile("^cross, "))
    address = page.url
    page.reload()
    expect(sentence(page)).to_have_text(re.compile("^cross, "))
    assert page.url == address
    page.get_by_role("textbox", name="Methods").click()
    paste(page, turned(root, "triangle"))
    expect(sentence(page)).to_have_text(re.compile("^triangle, "))
    assert OWN.search(page.url) and page.url != address


def test_a_page_that_shows_something_else_by_then_is_told_by_its_address(
    page: Page, root: Path
) -> None:
    page.goto("/")
    explained(page)

    def later(route: Route) -> None:
        told = route.fetch().json()
        told["shown"]["pulse"] = "another"
        route.fulfill(json={**told, "news": [["predictions-ask", {"data": {"href": "/nowhere"}}]]})

    page.route("**/photos?to=*", later)
    drop(page, (root / "archives" / "demo" / "samples" / "ring.png").read_bytes())
    expect(sentence(page)).to_have_text(re.compile("^ring, "))
    expect(page.locator("#predictions [role=alert]")).to_have_count(0)


def test_what_is_no_image_is_told_so(page: Page, said: list[str]) -> None:
    page.goto("/")
    explained(page)
    drop(page, b"no image at all", "text/plain")
    expect(page.locator("#photo-trouble")).to_contain_text("no photo that can be opened")
    expect(sentence(page)).to_contain_text("disc")
    assert all("400" in line for line in said)
    said.clear()
