"""Heat layers: what is sent is the places on the scale, and the browser colours them as we do."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from servelens.client.colours import Scale
from servelens.palettes import palette
from servelens.protocol import InputRef
from servelens_dashboard.figures import atlas, heat, look, maps, recolouring
from servelens_dashboard.figures.recolouring import AS_USUAL, COLOURS, HEAT, Appearance

SEEN = InputRef(640, 480, (110, 30, 530, 450), (224, 224))
PHOTO = "/photos/abc"
NODE = shutil.which("node")
SCALE_TO_4 = Scale(0.0, 4.0, 4.0, signed=False)


def opened(source: str) -> Image.Image:
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def image(figure: Any, name: str) -> Any:
    (found,) = (each for each in figure.layout.images if each.name == name)
    return found


def heat_figure(values: Any, *, signed: bool, appearance: Appearance = AS_USUAL) -> Any:
    return heat.draw(PHOTO, SEEN, values, Scale.of(values, signed=signed), appearance)


# ------------------------------------------------------------------------------- the picture


def test_a_layer_holds_the_places_on_the_scale_at_the_crops_proportions() -> None:
    values = np.array([[0.0, 1.0], [2.0, 4.0]])
    drawn = opened(heat.layer(values, Scale.of(values, signed=False), (0, 0, 100, 50)))
    assert (drawn.mode, drawn.size) == ("P", (heat.LONGEST, heat.LONGEST // 2))
    levels = np.asarray(drawn)
    # Beyond the middles of the outer numbers there is nothing to pass on to.
    corners = [levels[0, 0], levels[0, -1], levels[-1, 0], levels[-1, -1]]
    assert corners == [0, 64, 128, 255]
    # In the very middle all four count alike: 7 / 4 of 4.
    height, width = levels.shape
    middle = levels[height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1]
    assert np.abs(middle.astype(int) - round(255 * 7 / 16)).max() <= 1


def test_without_a_photo_the_map_alone_is_drawn_each_number_a_square() -> None:
    values = np.array([[0.0, 1.0, 2.0], [4.0, 3.0, 2.0]])
    drawn = heat.draw(None, InputRef(96, 64, (0, 0, 96, 64), (64, 96)), values, SCALE_TO_4)
    (picture,) = drawn.layout.images
    assert (picture.name, picture.x, picture.sizex, picture.sizey) == (HEAT, 0, 96, 64)
    levels = np.asarray(opened(picture.source))
    height, width = levels.shape
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 3 // width
    expected = SCALE_TO_4.levels(values)[rows][:, columns]
    np.testing.assert_array_equal(levels, expected)
    # No photo shines through, nor is there one that opacity could bring out.
    assert set(opened(picture.source).info["transparency"]) == {255}
    assert drawn.layout.meta[HEAT]["photo"] is False


def test_the_palette_of_a_layer_is_the_clients_and_its_opacity_grows_with_the_number() -> None:
    values = np.array([[-2.0, 1.0]])
    drawn = opened(heat.layer(values, Scale.of(values, signed=True), (0, 0, 4, 4)))
    assert drawn.getpalette() == palette(signed=True).ravel().tolist()
    slow = [int(255 * 0.8 * abs(2 * level / 255 - 1) + 0.5) for level in range(256)]
    assert list(drawn.info["transparency"]) == slow


@pytest.mark.parametrize("signed", [False, True])
def test_what_is_under_the_threshold_is_clear_and_the_rest_as_opaque_as_asked(signed: bool) -> None:
    look_ = Appearance(opacity=0.5, threshold=0.6, fade=False)
    places = recolouring.alphas(look_, signed=signed)
    for level, alpha in enumerate(places):
        strength = abs(2 * level / 255 - 1) if signed else level / 255
        assert alpha == (128 if strength >= 0.6 else 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (224, 224), (3, 600)])
def test_maps_of_any_shape_are_drawn_and_left_as_they_were(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    values.flags.writeable = False
    before = values.copy()
    drawn = heat_figure(values, signed=True)
    assert len(drawn.data) == 1
    assert (values == before).all()


def test_photo_and_heat_lie_in_two_layers_and_the_crop_is_outlined() -> None:
    drawn = heat_figure(np.ones((2, 2)), signed=False)
    photo, layer = image(drawn, "photo"), image(drawn, "heat")
    assert (photo.layer, layer.layer) == ("below", "above")
    assert photo.source == PHOTO
    assert (photo.x, photo.y, photo.sizex, photo.sizey) == (0, 0, 640, 480)
    assert (layer.x, layer.y, layer.sizex, layer.sizey) == (110, 30, 420, 420)
    (outline,) = drawn.layout.shapes
    assert outline.path == "M0,0L640,0L640,480L0,480Z M110,30L530,30L530,450L110,450Z"


def test_where_the_model_saw_the_whole_photo_nothing_is_outlined() -> None:
    assert heat.outline(InputRef(64, 64, (0, 0, 64, 64), (64, 64))) == []


def test_a_map_that_is_all_zero_says_so_in_the_picture_and_in_words() -> None:
    values = np.zeros((3, 3))
    drawn = heat_figure(values, signed=True)
    assert [note.text for note in drawn.layout.annotations] == ["this map is all zero"]
    assert not drawn.data[0].showscale
    assert "all zero" in heat.tell(values, Scale.of(values, signed=True), "x").caption


# ---------------------------------------------------------------------------- scales, hovering


def test_colours_that_end_before_the_numbers_do_say_so() -> None:
    values = np.ones((100, 100))
    values[0, 0] = 50
    scale = Scale.of(values, signed=False)
    assert scale.is_clipped
    assert maps.colour_bar(scale)["ticktext"] == ["0", "1, max 50"]
    assert "colours end at 1" in heat.tell(values, scale, "x").caption


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_without_a_colour_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="1 of a map's 4 numbers are not finite"):
        maps.plane(np.array([[0, 1], [2, bad]]))


def test_a_map_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[0, 7\] has no numbers"):
        maps.plane(np.zeros((0, 7)))


def test_what_is_hovered_over_is_the_mean_of_what_lies_there() -> None:
    values = np.random.default_rng(0).normal(size=(256, 128))
    found = maps.coarse(values)
    slow = values.reshape(64, 4, 64, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found, slow, atol=1e-6)
    assert maps.coarse(slow) is slow


@given(st.integers(1, 40), st.integers(1, 40), st.integers(-50, 50), st.integers(1, 900))
def test_hovering_finds_the_number_under_the_pointer(
    width: int, height: int, left: int, size: int
) -> None:
    values = np.zeros((height, width))
    box = left, 0, left + size, size
    trace = maps.unseen(values, box, Scale(0, 1, 1, signed=False), AS_USUAL)
    for count, start, step, low in (
        (width, trace["x0"], trace["dx"], left),
        (height, trace["y0"], trace["dy"], 0),
    ):
        assert start - step / 2 == pytest.approx(low)
        assert start + (count - 0.5) * step == pytest.approx(low + size)


def test_the_table_of_a_map_has_its_nine_parts_as_seen() -> None:
    values = np.zeros((6, 6))
    values[0, 5] = 8
    told = heat.tell(values, Scale.of(values, signed=False), "grad_cam")
    assert told.caption == "grad_cam: 0 to 8, strongest at the top right."
    assert [row["part"] for row in told.rows][:4] == [
        "top left",
        "top middle",
        "top right",
        "middle left",
    ]
    assert {row["part"]: row["mean"] for row in told.rows if row["mean"]} == {"top right": 2}


@given(st.integers(1, 20), st.integers(1, 20))
def test_the_parts_of_a_map_are_all_of_it(height: int, width: int) -> None:
    values = np.arange(1.0, height * width + 1).reshape(height, width)
    told = heat.tell(values, Scale.of(values, signed=False), "x")
    assert max(float(row["max"]) for row in told.rows) == height * width
    strongest = max(told.rows, key=lambda row: row["max"])
    assert told.caption.endswith(f"strongest at the {strongest['part']}.")


# -------------------------------------------------------------------------------- the browser


def in_browser(root: Path, figure: Any, appearance: Appearance) -> Mapping[str, Any]:
    """What assets/heat.js makes of a figure."""
    script = root / "dashboard/servelens_dashboard/assets/heat.js"
    given = json.dumps([json.loads(figure.to_json()), recolouring.tables(), appearance.to_wire()])
    program = f"""
        globalThis.window = globalThis;
        {script.read_text()}
        const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
        process.stdout.write(JSON.stringify(servelens.heat.apply(...given)));
    """
    assert NODE is not None
    done = subprocess.run([NODE, "-e", program], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.skipif(NODE is None, reason="needs node; the browser's tests run the same script")
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "appearance",
    [
        Appearance(colours="magma", opacity=0.35, threshold=0.2),
        Appearance(colours="purple-orange", opacity=1, fade=False),
        Appearance(threshold=1.0),
        Appearance(opacity=0.0),
    ],
)
def test_the_browser_makes_the_same_figure_as_we_would(
    root: Path, signed: bool, appearance: Appearance
) -> None:
    values = np.random.default_rng(3).normal(size=(7, 9)) if signed else np.eye(5)
    usual = heat_figure(values, signed=signed)
    ours = heat_figure(values, signed=signed, appearance=appearance)
    assert in_browser(root, usual, appearance) == json.loads(ours.to_json())


@pytest.mark.skipif(NODE is None, reason="needs node; the browser's tests run the same script")
def test_a_map_without_a_photo_stays_solid_whatever_the_opacity(root: Path) -> None:
    channels = atlas.Atlas.of(np.eye(4)[None])
    chosen = Appearance(colours="grey", opacity=0.1, threshold=0.5)
    made = in_browser(root, atlas.draw(channels), chosen)
    solid = Appearance(colours="grey", opacity=1, threshold=0.5, fade=False)
    assert made == json.loads(atlas.draw(channels, solid).to_json())


def test_every_colour_table_is_whole_and_runs_from_dark_or_to_both_sides() -> None:
    for name, table in recolouring.tables().items():
        assert len(bytes.fromhex(table["colours"])) == 768, name
        colours = np.frombuffer(bytes.fromhex(table["colours"]), np.uint8).reshape(256, 3)
        light = colours @ [0.299, 0.587, 0.114]
        if table["signed"]:
            assert light[[0, -1]].max() < 100 < 220 < light[127:129].min(), name
        else:
            assert (np.diff(light) > -1.5).all(), name
            assert light[-1] - light[0] > 150, name


def test_colours_of_the_other_kind_leave_a_map_as_usual() -> None:
    assert recolouring.name_of(Appearance(colours="magma"), signed=True) == "blue-red"
    assert recolouring.name_of(Appearance(colours="magma"), signed=False) == "magma"
    with pytest.raises(ValueError, match=r"must be one of cividis, .*, not 'jet'"):
        recolouring.name_of(Appearance(colours="jet"), signed=False)
    assert set(COLOURS) == set(recolouring.tables())


def test_a_graph_sends_nothing_anywhere_and_text_is_no_markup() -> None:
    config = {"showSendToCloud": False, "plotlyServerURL": "", "displaylogo": False}
    assert config == look.GRAPH_CONFIG
    assert look.plain('<a href="x">&') == '&lt;a href="x"&gt;&amp;'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.98765, "0.988"), (-4.5678, "-4.57"), (12345, "12,300"), (999.9, "1,000"),
        (1.234e-5, "1.23e-5"), (7e9, "7e9"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert look.number(value) == text


def test_shares_and_chances_are_never_called_whole_when_they_are_not() -> None:
    assert [look.percent(s) for s in (0, 0.001, 0.714, 0.999, 1)] == [
        "0 %", "under 1 %", "71 %", "over 99 %", "100 %",
    ]  # fmt: skip
    assert [look.chance(p) for p in (0, 1e-6, 0.98, 0.9999, 1)] == [
        "0", "<0.001", "0.98", ">0.999", "1",
    ]  # fmt: skip
