"""Components as the browser gets them, where it is not Dash that sends them."""

from __future__ import annotations

import json
from typing import Any

from plotly.utils import PlotlyJSONEncoder


def written(components: Any) -> str:
    """JSON, whatever else they are among."""
    return json.dumps(components, cls=PlotlyJSONEncoder)
