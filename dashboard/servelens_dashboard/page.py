"""The page that a browser gets first: what it loads, and in which order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dash import Dash

HERE = Path(__file__).parent
VENDORED = "vendor"
# Plotly with the kinds of charts that we draw: a third of the whole, which takes a browser a second
# and a half to read. Dash asks for the whole only where there is none when the first graph comes.
PLOTLY = f"/assets/{VENDORED}/plotly-cartesian.min.js"
# All that Dash needs of its polyfills, which take a browser a quarter of a second. What else they
# bring, every browser has that knows our style sheet.
RUNTIME = f"/assets/{VENDORED}/regenerator-runtime.js"
POLYFILLS = re.compile(r'src="[^"]*/deps/polyfill@[^"]*"')
# A lens, in the page itself: Dash's own icon would be fetched at each new address.
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='none' "
    "stroke='%232f66a8' stroke-width='2' stroke-linecap='round'%3E"
    "%3Ccircle cx='6.5' cy='6.5' r='4.5'/%3E%3Cpath d='m10 10 4.5 4.5'/%3E%3C/svg%3E"
)


class Page(Dash):
    """Dash with a page of ours."""

    def interpolate_index(self, **parts: Any) -> str:
        scripts = POLYFILLS.sub(f'src="{RUNTIME}"', parts["scripts"])
        return f"""<!DOCTYPE html>
<html lang="en">
  <head>{parts["metas"]}<title>{parts["title"]}</title>{parts["css"]}
    <link rel="icon" href="{ICON}"><script defer src="{PLOTLY}"></script></head>
  <body>{parts["app_entry"]}<footer>{parts["config"]}{scripts}{parts["renderer"]}</footer></body>
</html>"""
