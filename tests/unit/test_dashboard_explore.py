"""What Explore asks and draws, of a real model that answers in this process."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, seeded
from tiny_net import TinyNet

from servelens.client import NothingToShow, Result, Server, Version
from servelens.engine.session import Session
from servelens.protocol import to_wire
from servelens.protocol.keys import SORT_ORDERS
from servelens_dashboard import questions
from servelens_dashboard.figures import field, steps
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.lens import Lens, Overview, looked_at
from servelens_dashboard.questions import Ask
from servelens_dashboard.scene import Scene, compare_request
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.url_state import View, parse
from servelens_dashboard.views import channel, explore, journey, learned

NODE = shutil.which("node")
PHOTO = photo()


@pytest.fixture(scope="module")
def net() -> TinyNet:
    module: TinyNet = seeded(TinyNet)
    return module


@pytest.fixture(scope="module")
def session(net: TinyNet) -> Session:
    return open_session(net)


@pytest.fixture
def ask(session: Session) -> Ask:
    """As a server does, which reads each request as the protocol has it."""

    def answer(request: Mapping[str, Any]) -> Result:
        found = document(session, PHOTO, **json.loads(json.dumps(request)))
        return Result.of(to_wire(found), PHOTO, request)

    return answer


@pytest.fixture
def look(session: Session) -> Callable[..., Scene]:
    capability = json.loads(json.dumps(session.describe()))
    version = Version("tiny", "1.0", "tiny.mar", 1, 0, ())

    def at(**view: Any) -> Scene:
        shown = View(page="explore", photo="0" * 32, **view)
        return Scene(shown, Overview({"tiny": (version,)}), version, capability)

    return at


@pytest.fixture
def lens(root: Path, tmp_path: Path) -> Lens:
    samples = root / "archives" / "demo" / "samples"
    return Lens(Server("http://127.0.0.1:9"), Shelf(tmp_path, 0, 0, samples), 0)


Look = Callable[..., Scene]


def shown(result: Result) -> list[int]:
    return [channel.index for channel in result.activations[0].channels]


def every_map(ask: Ask, layer: str) -> Any:
    """Of all channels, as they are numbered."""
    answer = ask({"activations": {"layers": [layer], "channels": "all"}})
    return answer.activations[0].to_numpy()[np.argsort(shown(answer))]


def words(parts: Any) -> str:
    return json.dumps([part.to_plotly_json() for part in parts if part], default=str)


# -------------------------------------------------------------------------------------- orders


def test_channels_are_sorted_by_their_numbers(look: Look, ask: Ask) -> None:
    every = every_map(ask, "last")
    means, spreads = every.mean(axis=(1, 2)), every.var(axis=(1, 2))
    assert shown(questions.atlas(look(layer="last"), ask)) == list(np.argsort(-means))
    by_variance = look(layer="last", sort_by="variance")
    assert shown(questions.atlas(by_variance, ask)) == list(np.argsort(-spreads))
    assert sorted(shown(questions.atlas(look(layer="last", sort_by="random"), ask))) == [*range(12)]


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
    look: Look, shape: list[int] | None, most: int
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
def test_channels_are_sorted_by_what_the_class_would_miss(
    look: Look, ask: Ask, target: int | None
) -> None:
    """By hand: each one silenced by itself, and the class's logit read before and after."""
    lost = {}
    for number in range(12):
        told = questions.knocked_out(look(layer="last", channel=number), ask).ablation
        assert told is not None
        index = told.before[0].index if target is None else target
        logits = [{p.index: p.logit for p in part}[index] for part in (told.before, told.after)]
        lost[number] = logits[0] - logits[1]
    order = shown(questions.atlas(look(layer="last", sort_by="ablation", target=target), ask))
    falling = [lost[number] for number in order]
    assert falling == pytest.approx(sorted(lost.values(), reverse=True), abs=1e-5)


def test_relevance_is_to_the_class_that_is_looked_at(look: Look, ask: Ask) -> None:
    orders = [
        shown(questions.atlas(look(layer="last", sort_by="relevance", target=target), ask))
        for target in range(3)
    ]
    assert len({tuple(order) for order in orders}) > 1
    assert [sorted(order) for order in orders] == [[*range(12)]] * 3


def test_a_class_changes_no_order_that_is_not_of_it(look: Look) -> None:
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


def test_the_unit_that_is_looked_at_is_the_strongest_or_the_one_clicked(
    look: Look, ask: Ask
) -> None:
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


def test_a_click_on_a_unit_is_read_as_that_unit(look: Look, ask: Ask) -> None:
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
def test_the_box_that_follows_the_pointer_is_the_servers(
    root: Path, look: Look, ask: Ask, layer: str
) -> None:
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


def test_what_a_unit_sees_is_boxed_on_both_pictures(look: Look, ask: Ask) -> None:
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


def test_what_has_no_place_in_the_photo_is_not_laid_over_it(look: Look, ask: Ask) -> None:
    scene = look(layer="head", channel=1)
    drawn = channel.look_body(
        scene, questions.channel(scene, ask), questions.unit(scene, ask), LIGHT
    )
    assert "Its numbers have no place in the photo" in words(drawn)
    assert "layout" not in words(drawn)


# ------------------------------------------------------------------------------------- learned


def test_the_first_layer_is_asked_for_whole_and_others_by_their_channel(
    look: Look, ask: Ask, net: TinyNet
) -> None:
    first = questions.weights(look(layer="stem", channel=2), ask).weights
    other = questions.weights(look(layer="last", channel=2), ask).weights
    assert first is not None
    assert other is not None
    np.testing.assert_allclose(first[0].kernels, net.stem.weight.detach(), rtol=1e-3)
    np.testing.assert_allclose(other[0].kernels, net.last.weight.detach()[[2]], rtol=1e-3)


def test_a_block_points_to_the_layers_that_have_learned(look: Look, ask: Ask) -> None:
    scene = look(layer="block", channel=2)
    drawn = learned.learned_body(scene, questions.weights(scene, ask), LIGHT)
    for name in ("block.conv1", "block.bn1", "block.conv2", "block.bn2"):
        assert scene.view.at_layer(name).href in words(drawn)
    assert "block.relu" not in words(drawn)


def test_a_channels_filter_is_ranked_among_all(look: Look, ask: Ask, net: TinyNet) -> None:
    norms = net.last.weight.detach().flatten(1).norm(dim=1)
    strongest = int(norms.argmax())
    scene = look(layer="last", channel=strongest)
    drawn = words(learned.learned_body(scene, questions.weights(scene, ask), LIGHT))
    assert f"{float(norms.max()):.3g}, rank 1 of 12" in drawn
    assert f"{float(net.last.bias.detach()[strongest]):.3g}" in drawn


# ------------------------------------------------------------------------------- the page's steps


def test_a_depth_player_has_a_frame_a_layer_of_one_answer(look: Look, ask: Ask) -> None:
    scene = look(layer="last")
    asked: list[Mapping[str, Any]] = []

    def count(request: Mapping[str, Any]) -> Result:
        asked.append(request)
        return ask(request)

    result = questions.journey(scene, count)
    drawn = journey.journey_body(scene, result, LIGHT)
    (frames,) = [part.data for part in drawn if getattr(part, "id", "") == "journey-frames"]
    assert len(asked) == 1
    assert [frame["words"].split(",")[0] for frame in frames] == scene.capability["default_layers"]
    for frame, layer in zip(frames, scene.capability["default_layers"], strict=True):
        means = every_map(ask, layer).mean(axis=(1, 2))
        assert f"channel {means.argmax()}:" in frame["words"]
        assert [image.name for image in frame["figure"].layout.images] == ["photo", "heat"]


def test_a_model_that_is_compared_is_run_once_for_its_words_numbers_and_maps(
    look: Look, ask: Ask
) -> None:
    scene = look()
    result = ask(compare_request(scene))
    assert result.cost.forwards == 1
    assert len(result.predictions) > 1
    layers = scene.capability["default_layers"]
    assert [shown.layer for shown in steps.with_maps(result.activations)] == layers
    for shown in result.activations:
        every = every_map(ask, shown.layer)
        (channel,) = shown.channels
        assert channel.index == every.mean(axis=(1, 2)).argmax()
        np.testing.assert_array_equal(shown.to_numpy()[0], every[channel.index])
        assert shown.statistics is not None
        assert shown.statistics.mean == pytest.approx(every.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("after", "drawn"),
    [
        ({"channel": 1}, {"unit-ask", "channel-ask", "predictions-ask"}),
        ({"channel": 0, "out": True}, {"predictions-ask"}),
        ({"channel": 0, "place": (1, 1)}, {"unit-ask", "predictions-ask"}),
        ({}, {"unit-ask", "channel-ask", "predictions-ask"}),
        ({"channel": 0}, set()),
    ],
)
def test_from_channel_to_channel_only_what_is_of_it_is_drawn_anew(
    look: Look, after: dict[str, Any], drawn: set[str]
) -> None:
    before, view = look(layer="last", channel=0).view, look(layer="last", **after).view
    assert explore.stays(before, view)
    known, told = explore.whole_ask(before, "p"), explore.whole_ask(view, "p")
    news = {name for name, href in told["narrowed"].items() if href != known["narrowed"][name]}
    assert news == drawn
    assert told["href"] == view.href
    for href in told["narrowed"].values():
        address = urlsplit(href)
        assert parse(address.path, address.query).channel == after.get("channel")


@pytest.mark.parametrize(
    "after", [{"layer": "stem"}, {"sort_by": "random"}, {"target": 1}, {"scale": "shared"}]
)
def test_whatever_else_changes_the_page_is_another(look: Look, after: dict[str, Any]) -> None:
    before = look(layer="last", channel=0).view
    assert not explore.stays(before, look(**{"layer": "last", "channel": 0, **after}).view)


def test_the_switch_goes_to_the_other_state_and_says_which(look: Look) -> None:
    view = look(layer="last", channel=3).view
    there = channel.switched(view)
    assert there["href"] == view.but(out=True).href
    back = channel.switched(view.but(out=True))
    assert back["href"] == view.href
    assert (there["children"], back["children"]) == (
        "Knock this channel out",
        "Bring this channel back",
    )


@pytest.mark.parametrize("layer", ["stem", "last"])
def test_an_atlas_takes_the_room_that_is_kept_for_it(
    look: Look, lens: Lens, ask: Ask, layer: str
) -> None:
    scene = look(layer=layer)
    _, stage, _ = explore.page(scene, lens, "p")
    (kept,) = [part for part in stage._traverse() if getattr(part, "className", "") == "room"]
    width, height = explore.atlas_of(scene, questions.atlas(scene, ask)).grid.size
    assert kept.style["aspectRatio"] == f"{width} / {height}"


def test_channels_are_stepped_through_in_the_atlass_order(look: Look) -> None:
    scene = look(layer="last", channel=7, place=(1, 2), out=True)
    _, nav = channel.head_body(scene.view, [4, 7, 2])
    ways = {link.className: link.href for link in nav.children}
    assert ways["stay before"] == scene.view.at_channel(4).href
    assert ways["stay after"] == scene.view.at_channel(2).href
    assert "out=1" in ways["stay after"]
    assert "at=" not in ways["stay after"]
    _, lonely = channel.head_body(scene.view.at_channel(9), [4, 7])
    assert [link.children for link in lonely.children] == ["next ›", "close"]
    assert "channel" not in lonely.children[-1].href
    assert "out" not in lonely.children[-1].href


def test_what_an_order_costs_is_said_before_it_is_asked_for(look: Look, lens: Lens) -> None:
    scene = look(layer="last")
    labels = explore.sorts_of(scene)
    assert labels["ablation"] == "most missed by the class first: 12 passes"
    assert all("passes" not in label for sort, label in labels.items() if sort != "ablation")
    waiting = [words(explore.page(look(layer="last", sort_by=sort), lens, "p")) for sort in labels]
    told = ["asked 12 times, each time without one channel" in text for text in waiting]
    assert told == [sort == "ablation" for sort in labels]
