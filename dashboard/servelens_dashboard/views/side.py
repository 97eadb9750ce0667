"""The left column: which model, which photo."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.components.photo import photo_src
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import Named, View


def side(scene: Scene, lens: Lens, *more: Any, chooser: Any = None) -> html.Div:
    """`chooser` stands where the model is chosen, on pages of several models."""
    view = scene.view
    return html.Div(
        [
            _model_choice(scene) if chooser is None else chooser,
            html.Div(_photo(view), className="brought"),
            html.Div(samples(view, lens), id="samples", className="samples"),
            *more,
        ],
        className="side",
    )


def model_choices(overview: Overview) -> list[dict[str, str]]:
    """The default version under the bare name, which goes on meaning the default one."""
    return [
        {"value": str(named), "label": f"{version.name} {version.version}"}
        for name, versions in overview.models.items()
        for place, version in enumerate(versions)
        for named in [Named(name, None if place == 0 else version.version)]
    ]


def _model_choice(scene: Scene) -> dmc.Select:
    return dmc.Select(
        id="model",
        label="Model",
        data=model_choices(scene.overview),
        value=str(scene.view.model),
        allowDeselect=False,
        searchable=True,
    )


def _photo(view: View) -> list[Any]:
    return [
        html.Button("Drop an image, paste one, or choose a file", className="drop choose"),
        html.Div(id="photo-trouble", role="status"),
    ]


def samples(view: View, lens: Lens) -> list[dcc.Link]:
    return [
        dcc.Link(
            html.Img(src=photo_src(name), alt=sample.title),
            href=view.with_photo(name).href,
            title=sample.title,
            className="chosen" if name == view.photo else "",
        )
        for name, sample in lens.shelf.samples.items()
    ]
