"""What a map lies over, where the answer says what of the photo the model saw, and where not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from client_fixtures.documents import attribution, document

from servelens.client import Result, Version
from servelens_dashboard.components.waiting import Touch
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.ground import NOT_KNOWN, ground
from servelens_dashboard.overview import Overview
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import View
from servelens_dashboard.views import panel

PHOTO = "0" * 32
CAPABILITY = {"input": {"size": [64, 96], "prepared": True}, "layers": [], "methods": []}
PANEL = panel.Panel("grad_cam", Touch(None, is_stopped=False), LIGHT)


@pytest.fixture
def scene() -> Scene:
    version = Version("theirs", "1.0", "theirs.mar", 1, 0, ())
    return Scene(View("explain", photo=PHOTO), Overview({}), version, CAPABILITY)


def body(scene: Scene, result: Result) -> tuple[str, list[Any]]:
    """What the panel is made of, and the masks that were asked for."""
    masks: list[Any] = []
    parts = panel.body(scene, PANEL, [result], masks.append)
    return json.dumps([part.to_plotly_json() for part in parts if part], default=str), masks


def test_what_the_model_saw_is_in_the_photo(scene: Scene) -> None:
    under = ground(scene, Result.of(document()))
    assert under.photo == f"/photos/{PHOTO}"
    assert under.seen.crop == (2, 0, 6, 4)
    assert under.why == ""
    drawn, masks = body(scene, Result.of(document(attributions=[attribution()])))
    assert NOT_KNOWN not in drawn
    assert masks == [PHOTO]


def test_where_that_is_not_known_the_map_lies_over_the_input(scene: Scene) -> None:
    """And no mask of the photo is held against it."""
    result = Result.of(document(input=None))
    under = ground(scene, result)
    assert not under.is_photo
    assert (under.seen.width, under.seen.height, under.seen.crop) == (96, 64, (0, 0, 96, 64))
    drawn, masks = body(scene, result)
    assert NOT_KNOWN in drawn
    assert masks == []
