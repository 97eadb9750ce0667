"""What Explore asks of a real model that answers in this process, and draws of its answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard_fixtures.exploring import (
    ask,
    channels_of,
    every_map,
    look,
    net,
    words,
)

from servelens.client import NothingToShow, Result
from servelens.protocol.keys import SORT_ORDERS
from servelens_dashboard import questions
from servelens_dashboard.figures import field
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.lens import looked_at
from servelens_dashboard.views import channel, learned

NODE = shutil.which("node")


# -------------------------------------------------------------------------------------- orders


def test_channels_are_sorted_by_their_numbers() -> None:
    every = every_map("last")
    means, spreads = every.mean(axis=(1, 2)), every.var(axis=(1, 2))
    assert channels_of(questions.atlas(look(layer="last"), ask)) == list(np.argsort(-means))
    by_variance = look(layer="last", sort_by="variance")
    assert channels_of(questions.atlas(by_variance, ask)) == list(np.argsort(-spreads))
    assert sorted(channels_of(questions.atlas(look(layer="last", sort_by="random"), ask))) == [
        *range(12)
    ]


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ([12, 4, 4], 12),
        ([2048, 7, 7], 512),
        ([512, 28, 28], 512),
        ([64, 224, 224], 57),
        ([9, 5000, 5000], 1),
        ([1000], 512),
        (None, 512),
    ],
)
def test_so_many_channels_are_asked_for_as_an_answer_has_room_for(
    shape: list[int] | None, most: int
) -> None:
    scene = look(layer="last")
    scene.layer["shape"] = shape
    asked: list[Any] = []

    def listen(request: Mapping[str, Any]) -> Result:
        asked.append(request["activations"]["channels"])
        raise NothingToShow

    with pytest.raises(NothingToShow):
        questions.atlas(scene, listen)
    assert asked == [questions.most_channels(scene)] == [most]


@pytest.mark.parametrize("target", [None, 4])
def test_channels_are_sorted_by_what_the_class_would_miss(target: int | None) -> None:
    """By hand: each one silenced by itself, and the class's logit read before and after."""
    lost = {}
    for number in range(12):
        told = questions.knocked_out(look(layer="last", channel=number), ask).ablation
        assert told is not None
        index = told.before[0].index if target is None else target
        logits = [{p.index: p.logit for p in part}[index] for part in (told.before, told.after)]
        lost[number] = logits[0] - logits[1]
    order = channels_of(questions.atlas(look(layer="last", sort_by="ablation", target=target), ask))
    falling = [lost[number] for number in order]
    assert falling == pytest.approx(sorted(lost.values(), reverse=True), abs=1e-5)


def test_relevance_is_to_the_class_that_is_looked_at() -> None:
    orders = [
        channels_of(questions.atlas(look(layer="last", sort_by="relevance", target=target), ask))
        for target in range(3)
    ]
    assert len({tuple(order) for order in orders}) > 1
    assert [sorted(order) for order in orders] == [[*range(12)]] * 3


def test_a_class_changes_no_order_that_is_not_of_it() -> None:
    asked: list[Mapping[str, Any]] = []

    def listen(request: Mapping[str, Any]) -> Result:
        asked.append(request)
        raise NothingToShow

    for target in (None, 1):
        with pytest.raises(NothingToShow):
            questions.atlas(look(layer="last", target=target), listen)
    assert asked[0] == asked[1]


def test_every_order_of_the_protocol_is_offered() -> None:
    assert {*SORT_ORDERS, "ablation"} == set(questions.SORTS)


# --------------------------------------------------------------------------------------- units


def test_the_unit_that_is_looked_at_is_the_strongest_or_the_one_clicked() -> None:
    scene = look(layer="block", channel=3)
    values = questions.channel(scene, ask).activations[0].to_numpy()[0]
    told = questions.unit(scene, ask).receptive_field
    assert told is not None
    assert told.position is not None
    assert told.value == pytest.approx(values.max(), rel=1e-3)
    assert values[told.position] == values.max()
    clicked = questions.unit(look(layer="block", channel=3, place=(2, 5)), ask).receptive_field
    assert clicked is not None
    assert (clicked.position, clicked.value) == ((2, 5), pytest.approx(values[2, 5], rel=1e-3))


def test_a_click_on_a_unit_is_read_as_that_unit() -> None:
    result = questions.channel(look(layer="block", channel=0), ask)
    seen, (height, width) = looked_at(result), result.activations[0].to_numpy().shape[1:]
    left, top, right, bottom = seen.crop
    for row in range(height):
        for column in range(width):
            x = left + (column + 0.5) * (right - left) / width
            y = top + (row + 0.5) * (bottom - top) / height
            assert field.place_at(x, y, seen, (height, width)) == (row, column)
    assert field.place_at(right, bottom, seen, (height, width)) == (height - 1, width - 1)
    assert field.place_at(left - 1, top, seen, (height, width)) == (0, 0)


@pytest.mark.skipif(NODE is None, reason="needs node; the browser's tests run the same script")
@pytest.mark.parametrize("layer", ["stem", "block", "last"])
def test_the_box_that_follows_the_pointer_is_the_servers(root: Path, layer: str) -> None:
    scene = look(layer=layer, channel=0)
    result = questions.channel(scene, ask)
    seen, (height, width) = looked_at(result), result.activations[0].to_numpy().shape[1:]
    left, top, right, bottom = seen.crop
    places = [(0, 0), (height - 1, width - 1), (height // 2, width // 3), (1, width - 2)]
    points = [
        (left + (c + 0.5) * (right - left) / width, top + (r + 0.5) * (bottom - top) / height)
        for r, c in places
    ]
    drawn = channel.look_body(scene, result, questions.unit(scene, ask), LIGHT)
    graphs = [part for part in drawn[0]._traverse() if getattr(part, "figure", None)]
    known = graphs[0].figure.layout.meta["field"]
    script = (root / "dashboard/servelens_dashboard/assets/field.js").read_text()
    program = f"""
        globalThis.window = globalThis;
        {script}
        const [known, points] = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify(points.map(([x, y]) => servelens.field.box(known, x, y))));
    """
    assert NODE is not None
    given = json.dumps([known, points])
    done = subprocess.run([NODE, "-e", program], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for place, box in zip(places, json.loads(done.stdout), strict=True):
        told = questions.unit(look(layer=layer, channel=0, place=place), ask).receptive_field
        assert told is not None
        assert told.box == tuple(box)


def test_what_a_unit_sees_is_boxed_on_both_pictures() -> None:
    scene = look(layer="stem", channel=1)
    unit = questions.unit(scene, ask)
    drawn = channel.look_body(scene, questions.channel(scene, ask), unit, LIGHT)
    assert unit.receptive_field is not None
    assert unit.receptive_field.box is not None
    for part in drawn:
        (graph,) = [found for found in part._traverse() if getattr(found, "figure", None)]
        boxes = [shape for shape in graph.figure.layout.shapes if shape.name == field.FIELD]
        found = {(box.x0, box.y0, box.x1, box.y1) for box in boxes}
        assert found == {unit.receptive_field.box}


def test_what_has_no_place_in_the_photo_is_not_laid_over_it() -> None:
    scene = look(layer="head", channel=1)
    drawn = channel.look_body(
        scene, questions.channel(scene, ask), questions.unit(scene, ask), LIGHT
    )
    assert "Its numbers have no place in the photo" in words(drawn)
    assert "layout" not in words(drawn)


# ------------------------------------------------------------------------------------- learned


def test_the_first_layer_is_asked_for_whole_and_others_by_their_channel() -> None:
    first = questions.weights(look(layer="stem", channel=2), ask).weights
    other = questions.weights(look(layer="last", channel=2), ask).weights
    assert first is not None
    assert other is not None
    np.testing.assert_allclose(first[0].kernels, net().stem.weight.detach(), rtol=1e-3)
    np.testing.assert_allclose(other[0].kernels, net().last.weight.detach()[[2]], rtol=1e-3)


def test_a_block_points_to_the_layers_that_have_learned() -> None:
    scene = look(layer="block", channel=2)
    drawn = learned.learned_body(scene, questions.weights(scene, ask), LIGHT)
    for name in ("block.conv1", "block.bn1", "block.conv2", "block.bn2"):
        assert scene.view.at_layer(name).href in words(drawn)
    assert "block.relu" not in words(drawn)


def test_a_channels_filter_is_ranked_among_all() -> None:
    norms = net().last.weight.detach().flatten(1).norm(dim=1)
    strongest = int(norms.argmax())
    scene = look(layer="last", channel=strongest)
    drawn = words(learned.learned_body(scene, questions.weights(scene, ask), LIGHT))
    assert f"{float(norms.max()):.3g}, rank 1 of 12" in drawn
    assert f"{float(net().last.bias.detach()[strongest]):.3g}" in drawn
