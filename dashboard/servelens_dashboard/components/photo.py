"""A photo, what the model saw of it, and a map over that."""

from __future__ import annotations

from dash import html
from PIL import Image

from servelens.client.colours import Scale, as_plane
from servelens.client.pictures import data_url, heat
from servelens.client.results import Attribution, Numbers, Result

LONGEST = 448


def photo_src(name: str) -> str:
    return f"/photos/{name}"


def bare_photo(name: str) -> html.Div:
    """What is shown until there is a map."""
    return html.Div(
        html.Img(src=photo_src(name), alt="The photo.", className="photo"), className="layers"
    )


def explained_photo(name: str, result: Result, entry: Attribution, words: str) -> html.Div:
    """The photo under the map, which lies on what the model saw."""
    plane = as_plane(entry.to_numpy())
    scale = Scale.of(plane, signed=entry.signed)
    return html.Div(
        [
            html.Img(src=photo_src(name), alt="", className="photo"),
            html.Img(
                src=data_url(heat(smooth(plane), scale)),
                alt=f"{words} {scale.words()}.",
                className="heat",
                style=_over(result),
                **{"data-signed": str(scale.signed).lower()},
            ),
            html.Div(className="crop", style=_over(result), **{"aria-hidden": "true"}),
        ],
        className="layers",
    )


def smooth(plane: Numbers) -> Numbers:
    """Enlarged between its numbers before it is coloured; colours would mix to others."""
    height, width = plane.shape
    zoom = LONGEST / max(height, width)
    if zoom <= 1:
        return plane
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    import numpy as np

    return np.asarray(
        Image.fromarray(plane.astype("float32")).resize(size, Image.Resampling.BILINEAR)
    )


def _over(result: Result) -> dict[str, str]:
    left, top, right, bottom = result.input.crop
    width, height = result.input.width, result.input.height
    return {
        "left": f"{left / width:.3%}",
        "top": f"{top / height:.3%}",
        "width": f"{(right - left) / width:.3%}",
        "height": f"{(bottom - top) / height:.3%}",
    }
