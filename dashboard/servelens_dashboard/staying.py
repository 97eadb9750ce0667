"""Pages that stay from one address to the next: what of them is other then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servelens_dashboard.components.still import still
from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked, is_slow, predicted
from servelens_dashboard.scene import Scene, set_scene
from servelens_dashboard.troubles import EXPECTED
from servelens_dashboard.url_state import View
from servelens_dashboard.views import explain, explore
from servelens_dashboard.views.shell import News

# Those that need not be drawn anew for each address.
STAYING: Mapping[str, Any] = {"explain": explain, "explore": explore}


def news_of(before: View, scene: Scene, lens: Lens, pulse: str) -> News | None:
    """None where the page does not stay; nothing where it shows the scene already."""
    if before == scene.view:
        return ()
    page = STAYING.get(scene.view.page)
    if page is None or not page.stays(before, scene.view):
        return None
    return [(name, _still(told)) for name, told in page.news(scene, lens, pulse)]


def _still(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: still(value) for name, value in told.items()}


def brought(desk: Desk, view: View, photo: str) -> dict[str, Any]:
    """What of a page that stays is other with a photo, and what it must show to be told so; the
    page then asks without asking first what to ask."""
    try:
        before = set_scene(view, desk.lens)
    except EXPECTED:
        return {}  # told where the page is drawn
    scene, pulse = before.but(before.view.with_photo(photo)), before.pulse
    news = news_of(before.view, scene, desk.lens, pulse)
    if not news:
        return {}
    _begin(desk, scene)
    return {"shown": explain.ask_of(before, pulse), "news": news}


def _begin(desk: Desk, scene: Scene) -> None:
    """What the page asks next is under way while the browser is told to ask it; who then asks waits
    for the same answer, and is told what went wrong. What is slow a person may yet stop."""
    lens = desk.lens
    desk.threads.submit(predicted, lens, scene)
    for entry in scene.view.methods:
        if not is_slow(scene.methods.get(entry.method, {})):
            desk.threads.submit(asked, lens, scene, entry)
