"""The diagram: hundreds of layers and edges come to boxes that say what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from servelens_dashboard.figures import network
from servelens_dashboard.figures.stages import stages_of


def row(name: str, stage: str | None, shape: Any = (8, 4, 4), leaf: bool = True) -> dict[str, Any]:
    shape = None if shape is None else list(shape)
    return {"name": name, "stage": stage, "shape": shape, "parameters": 10, "leaf": leaf}


def capability(
    layers: list[dict[str, Any]], edges: list[list[str]], shown: list[str]
) -> dict[str, Any]:
    return {"layers": layers, "edges": edges, "default_layers": shown}


SMALL = capability(
    [
        row("conv", "stem", (4, 8, 8)),
        row("pool", None, (4, 4, 4)),
        row("layer1.conv", "stage 1"),
        row("layer1.relu", "stage 1"),
        row("layer1", "stage 1", leaf=False),
        row("layer2.conv", "stage 2", (16, 2, 2)),
        row("layer2", "stage 2", (16, 2, 2), leaf=False),
        row("fc", "head", (5,)),
    ],
    [
        ["conv", "pool"],
        ["pool", "layer1.conv"],
        ["layer1.conv", "layer1.relu#0"],
        ["layer1.relu#0", "layer1.relu"],
        ["layer1.relu", "layer2.conv"],
        ["layer1.conv", "layer2.conv"],
        ["pool", "layer2.conv"],
        ["layer2.conv", "fc"],
    ],
    ["layer1", "layer2"],
)


def test_layers_come_to_stages_and_only_what_crosses_a_border_is_a_link() -> None:
    found = stages_of(SMALL)
    assert [stage.name for stage in found.stages] == ["stem", "stage 1", "stage 2", "head"]
    # What is in no stage goes with what is before it.
    assert found.stages[0].layers == ("conv", "pool")
    assert found.links == {(0, 1): 1, (0, 2): 1, (1, 2): 2, (2, 3): 1}
    assert [stage.shown for stage in found.stages] == [("pool",), ("layer1",), ("layer2",), ("fc",)]
    assert [stage.shape for stage in found.stages] == [(4, 4, 4), (8, 4, 4), (16, 2, 2), (5,)]
    # A container's parameters are those of its leaves.
    assert [stage.parameters for stage in found.stages] == [20, 20, 10, 10]


def test_the_chosen_layer_is_among_those_shown_and_marked() -> None:
    drawn = network.draw(SMALL, "layer1.conv")
    (points,) = drawn.data
    assert list(points.customdata) == ["pool", "layer1.conv", "layer1", "layer2", "fc"]
    colours = dict(zip(points.customdata, points.marker.color, strict=True))
    assert [name for name, colour in colours.items() if colour == points.marker.line.color] == [
        "layer1.conv"
    ]


@pytest.mark.parametrize("chosen", [None, "features.9.relu"])
def test_a_deep_network_is_as_few_nodes_as_it_has_stages(chosen: str | None) -> None:
    """As large as densenet121: 430 layers, and an edge from each to all after it in its block."""
    names = [f"features.{block}.conv{number}" for block in range(4) for number in range(107)]
    names.append("features.9.relu")
    layers = [row(name, f"block {name.split('.')[1]}") for name in names]
    edges = [[a, b] for at, a in enumerate(names) for b in names[at + 1 : at + 4]]
    drawn = network.draw(capability(layers, edges, names[106::107]), chosen)
    boxes = [shape for shape in drawn.layout.shapes if shape.type == "rect"]
    links = [shape for shape in drawn.layout.shapes if shape.type == "path"]
    assert (len(boxes), len(links)) == (5, 4)
    assert 5 <= len(drawn.data[0].x) <= 6


def test_of_many_wanted_layers_of_a_stage_the_chosen_one_stays() -> None:
    names = [f"l{number}" for number in range(9)]
    many = capability([row(name, "all") for name in names], [], names[1:])
    (stage,) = stages_of(many, "l0").stages
    assert len(stage.shown) == 4
    assert stage.shown[0] == "l0"


def test_a_model_without_stages_is_one_box_and_shapes_may_be_unknown() -> None:
    plain = capability([row("a", None, None), row("b", None, None)], [["a", "b"]], [])
    told = network.tell(plain)
    assert told.rows == (
        {
            "stage": "network", "layers": 2, "parameters": 20, "output": "unknown",
            "shown": "b", "leads to": "",
        },
    )  # fmt: skip
    assert len(network.draw(plain).data[0].x) == 1


def test_the_network_is_told() -> None:
    told = network.tell(SMALL)
    assert told.caption == (
        "8 layers with 60 parameters in 4 stages: stem, stage 1, stage 2, head."
    )
    assert told.rows[0]["leads to"] == "stage 1, stage 2"
    assert told.rows[2]["output"] == "16 × 2 × 2"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("layer4", "layer4"),
        ("layer3.2.conv3", "…2.conv3"),
        ("features.denseblock2.denselayer3.conv1", "…conv1"),
        ("features.denseblock3", "…denseblock3"),
        ("Conv2d_2b_3x3_and_more", "Conv2d_2b_3…"),
    ],
)
def test_a_long_name_keeps_its_end(name: str, short: str) -> None:
    assert network.tail(name) == short


def test_names_are_no_markup() -> None:
    hostile = capability([row("<a href='x'>", "<b>")], [], [])
    drawn = network.draw(hostile)
    (points,) = drawn.data
    shown = [*points.text, *points.hovertext, *(note.text for note in drawn.layout.annotations)]
    written = " ".join(shown).replace("<br>", "").replace("<b>&lt;b&gt;</b>", "")
    assert "<" not in written
    assert "&lt;a href" in written
    assert list(points.customdata) == ["<a href='x'>"]
