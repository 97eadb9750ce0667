"""Pages that stay from one address to the next: what of them is other then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import View
from servelens_dashboard.views import explain, explore
from servelens_dashboard.views.shell import News

# Those that need not be drawn anew for each address.
STAYING: Mapping[str, Any] = {"explain": explain, "explore": explore}


def news_of(before: View, scene: Scene, lens: Lens, pulse: str) -> News | None:
    """None where the page does not stay; nothing where it shows the scene already."""
    page = STAYING.get(scene.view.page)
    if page is None or not page.stays(before, scene.view):
        return None
    news: News = () if before == scene.view else page.news(scene, lens, pulse)
    return news
