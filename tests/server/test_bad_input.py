"""Hostile rows: each gets a problem of its own, and the row beside it what it would get alone.

That every worker outlives them is held by the fixture `lens`, which compares process ids.
"""

from __future__ import annotations

import io
import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lens_caller import PATIENCE_S, Call, Lens, as_json, form, raw
from lens_pictures import base64_of, header_only_png, photo, saved, scene
from PIL import Image, PngImagePlugin

PHOTO = photo(0)
PHOTO64 = base64_of(PHOTO)
JSON = {"Content-Type": "application/json"}
TOGETHER = 3
# A caller's words are quoted in a line, whatever they were.
LONGEST_MESSAGE = 300
MEGABYTE = "x" * 1_000_000
TOO_MANY = 100_001  # values in one request


def half(kind: str) -> Call:
    whole = saved(scene(1), kind)
    return raw(whole[: len(whole) // 2])


def bomb_in_a_text() -> bytes:
    """Few bytes that a chunk of text unpacks to a hundred million."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 100_000_000, zip=True)
    file = io.BytesIO()
    scene(2).save(file, "PNG", pnginfo=text)
    return file.getvalue()


def spelt(**keys: str) -> Call:
    """A body whose values are written here, for no library would write some of them."""
    written = ",".join(f'"{name}":{text}' for name, text in keys.items())
    return raw(f'{{"image":"{PHOTO64}",{written}}}'.encode(), headers=JSON)


def layer(name: str) -> Call:
    return as_json(PHOTO, activations=name)


def method(**params: Any) -> Call:
    return as_json(PHOTO, explain=params)


HOSTILE: dict[str, dict[str, tuple[Call, str]]] = {
    "pictures": {
        "half a jpeg": (half("JPEG"), "bad_image"),
        "half a gif": (half("GIF"), "bad_image"),
        "half a webp": (half("WEBP"), "bad_image"),
        "half a bmp": (half("BMP"), "bad_image"),
        "half a tiff": (half("TIFF"), "bad_image"),
        "a signature": (raw(b"\x89PNG\r\n\x1a\n"), "bad_image"),
        "a bomb": (raw(saved(Image.new("1", (20_000, 20_000)))), "too_many_pixels"),
        "a bomb in a text": (raw(bomb_in_a_text()), "bad_image"),
        "a line": (raw(header_only_png(1, 49_000_000)), "too_many_pixels"),
        "no pixels": (raw(header_only_png(0, 0)), "bad_image"),
        "a document": (raw(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "bad_image"),
        "a drawing": (raw(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "bad_image"),
        "an icon": (raw(saved(scene(1, 32, 32), "ICO")), "bad_image"),
        "an archive": (raw(b"PK\x05\x06" + bytes(18)), "bad_image"),
        "a mask that is a bomb": (
            as_json(PHOTO, explain=True, mask=base64_of(header_only_png(9_000, 9_000))),
            "too_many_pixels",
        ),
        "a mask that is a jpeg": (
            as_json(PHOTO, explain=True, mask=base64_of(saved(scene(0), "JPEG"))),
            "bad_image",
        ),
    },
    "numbers": {
        "nan": (spelt(top_k="NaN"), "bad_value"),
        "nan for a method": (spelt(explain='{"method":"smooth_grad","noise":NaN}'), "bad_value"),
        "infinity": (spelt(budget_ms="-Infinity"), "bad_value"),
        "a float without end": (spelt(budget_ms="1e999"), "bad_value"),
        "400 digits": (spelt(top_k="9" * 400), "bad_value"),
        "below nothing": (as_json(PHOTO, seed=-1), "bad_value"),
        "more than 63 bits": (as_json(PHOTO, seed=2**63), "bad_value"),
        "a class of 70 bits": (as_json(PHOTO, explain=True, target=2**70), "unknown_class"),
        "a channel of 70 bits": (
            as_json(PHOTO, receptive_field={"layer": "last", "channel": 2**70}),
            "bad_value",
        ),
        "a billion steps": (method(method="integrated_gradients", steps=10**9), "bad_value"),
        "a billion parts": (
            as_json(PHOTO, explain="rise", part={"index": 0, "of": 10**9}),
            "bad_value",
        ),
        "a truth": (as_json(PHOTO, top_k=True), "bad_value"),
    },
    "names": {
        "a format": (layer("%s%n%(levelname)s"), "unknown_layer"),
        "braces": (layer("{0.__class__.__mro__}"), "unknown_layer"),
        "a path": (layer("../../etc/passwd"), "unknown_layer"),
        "a path within": (layer("stem/../last"), "unknown_layer"),
        "python's own": (layer("__class__"), "unknown_layer"),
        "a null": (layer("stem\0"), "unknown_layer"),
        "a line break": (layer("stem\r\n[METRICS]x.Count:1|#a:b"), "unknown_layer"),
        "half of a pair": (spelt(activations='"\\ud800"'), "bad_value"),
        "globs upon globs": (layer("*a" * 500), "unknown_layer"),
        "a call below nothing": (layer("stem#-1"), "unknown_layer"),
        "a call of 30 digits": (layer("stem#" + "9" * 30), "unknown_layer"),
        "a method that is a path": (method(method="../saliency"), "unknown_method"),
    },
    "keys": {
        "in the request": (as_json(PHOTO, __proto__={"explain": True}), "unknown_key"),
        "of a method": (method(method="saliency", stepz=3), "unknown_key"),
        "of activations": (as_json(PHOTO, activations={"layerz": ["stem"]}), "unknown_key"),
        "of an edit": (
            as_json(PHOTO, ablate=[{"layer": "stem", "channels": [0], "how": 1}]),
            "unknown_key",
        ),
        "beside an index": (
            as_json(PHOTO, explain="rise", part={"index": 0, "from": 2}),
            "bad_value",
        ),
        "deep": (spelt(explain="[" * 900 + "]" * 900), "bad_value"),
        "deep in a form": (form(PHOTO, explain='{"a":' * 5000), "bad_value"),
    },
    "lists": {
        "nothing": (as_json(PHOTO, explain=[]), "bad_value"),
        "5000 targets": (as_json(PHOTO, explain=True, target=[0] * 5000), "bad_value"),
        "1000 unknown layers": (as_json(PHOTO, activations=["stam"] * 1000), "unknown_layer"),
        "1000 edits of nothing": (
            as_json(PHOTO, ablate=[{"layer": "stem", "channels": [99]}] * 1000),
            "bad_value",
        ),
        "1000 unknown methods": (as_json(PHOTO, explain=["gradcam"] * 1000), "unknown_method"),
        "1000 of them in a form": (form(PHOTO, explain=",".join(["x"] * 1000)), "unknown_method"),
        "1000 unknown classes": (
            as_json(PHOTO, explain=True, target=["x"] * 1000),
            "unknown_class",
        ),
        "1000 instances": (as_json(instances=[{"b64": "x"}] * 1000), "bad_value"),
        "16 million maps": (
            as_json(PHOTO, explain=["saliency"] * 4096, target=[0] * 4096),
            "bad_value",
        ),
    },
    "more than can be meant": {
        "objects": (raw(b"[" + b"{}," * TOO_MANY + b"{}]"), "bad_json"),
        "objects that say what they are": (as_json(PHOTO, explain=[{}] * TOO_MANY), "bad_value"),
        "objects in a form": (form(PHOTO, explain="[" + "{}," * TOO_MANY + "{}]"), "bad_value"),
        "names in a form": (form(PHOTO, explain="x," * TOO_MANY), "bad_value"),
        "parameters": (
            method(method="saliency", **dict.fromkeys(map(str, range(TOO_MANY)), 0)),
            "bad_value",
        ),
        "classes for all instances": (
            as_json(instances=[{"b64": "x"}] * 64, target=[0] * 4096),
            "bad_value",
        ),
    },
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_hostile_gets_a_problem_and_its_neighbour_an_answer(lens: Lens, kind: str) -> None:
    calls, wanted = zip(*HOSTILE[kind].values(), strict=True)
    found = refused_beside_a_neighbour(lens, *calls)
    names = list(HOSTILE[kind])
    got = {name: one["type"] for name, one in zip(names, found, strict=True)}
    assert got == dict(zip(names, wanted, strict=True))


def refused_beside_a_neighbour(lens: Lens, *calls: Call) -> list[dict[str, Any]]:
    """What each is told, a few in a batch with a row that is answered as if they were not there."""
    expected = pytest.approx(lens.bare(PHOTO), abs=1e-5)
    problems = []
    for start in range(0, len(calls), TOGETHER):
        some = calls[start : start + TOGETHER]
        *answers, neighbour = lens.together("rows", *some, raw(PHOTO))
        assert neighbour.json() == expected
        problems += [lens.read_problem(answer) for answer in answers]
    for problem in problems:
        assert problem["code"] in (400, 413), problem
        assert len(problem["message"]) < LONGEST_MESSAGE
        assert len(json.dumps(problem)) < 2 * LONGEST_MESSAGE, "no caller's words at length"
    return problems


@pytest.mark.parametrize("key", ["explain", "activations", "target", "id", "weights", "mask"])
def test_a_megabyte_of_text_is_refused_in_a_line(lens: Lens, key: str) -> None:
    calls = form(PHOTO, **{key: MEGABYTE}), as_json(PHOTO, **{key: MEGABYTE})
    assert {one["code"] for one in refused_beside_a_neighbour(lens, *calls)} == {400}


def test_a_key_of_a_megabyte_is_refused_in_a_line(lens: Lens) -> None:
    calls = form(PHOTO, **{MEGABYTE: 1}), as_json(PHOTO, **{MEGABYTE: 1})
    assert [one["type"] for one in refused_beside_a_neighbour(lens, *calls)] == ["unknown_key"] * 2


AS_MUCH_AS_FITS = 5_000_000


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (raw, "bad_json"),
        (lambda text: raw(text, headers=JSON), "bad_value"),
        (lambda text: form(PHOTO, explain=text.decode()), "bad_value"),
    ],
    ids=["bytes", "json", "a form"],
)
def test_as_much_json_as_a_server_takes_is_refused_before_it_is_read(
    lens: Lens, sent: Callable[[bytes], Call], wanted: str
) -> None:
    """Fact 30: what says that it is JSON, TorchServe has read by then."""
    problem = lens.problem(sent(b"[" + b"{}," * AS_MUCH_AS_FITS + b"{}]"))
    assert problem["type"] == wanted
    assert "more than 100,000 values" in problem["message"]


def test_as_large_a_photo_as_a_server_takes_is_answered(lens: Lens) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1900, 2000, 3), dtype=np.uint8)
    large = saved(Image.fromarray(noise))
    assert 15_000_000 < len(base64_of(large)) < 16_000_000
    expected = pytest.approx(lens.bare(large), abs=1e-5)
    assert lens.ask(as_json(large)).json() == expected
    as_text = raw(json.dumps({"image": base64_of(large)}).encode())
    assert lens.ask(as_text).json() == expected


def odd_pictures() -> dict[str, bytes]:
    nowhere = np.full((40, 40), np.nan, np.float32)
    frames = [Image.new("P", (90, 90), level) for level in range(200)]
    film = io.BytesIO()
    frames[0].save(film, "GIF", save_all=True, append_images=frames[1:])
    return {
        "one pixel": saved(Image.new("L", (1, 1), 9)),
        "nothing but transparency": saved(Image.new("RGBA", (40, 40), (0, 0, 0, 0))),
        "floats that are none": saved(Image.fromarray(nowhere), "TIFF"),
        "a film of 200 pictures": film.getvalue(),
        "as wide as a photo may be": saved(Image.new("L", (65_535, 2), 7)),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_an_odd_picture_is_answered_like_any_other(lens: Lens, name: str) -> None:
    document = lens.document(form(odd_pictures()[name], explain="saliency"))
    assert np.isfinite(document["attributions"][0]["map"]).all()
    assert document["predictions"]


class Trap:
    """What unpickles it leaves a file behind."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return open, (str(self.sentinel), "w")


def test_nothing_that_is_sent_is_ever_unpickled(lens: Lens, tmp_path: Path) -> None:
    sentinel = tmp_path / "unpickled"
    pickled = pickle.dumps(Trap(sentinel))
    array = io.BytesIO()
    np.save(array, np.array([Trap(sentinel)], dtype=object), allow_pickle=True)
    for bait in (pickled, array.getvalue()):
        text = base64_of(bait)
        refused_beside_a_neighbour(
            lens,
            raw(bait),
            raw(bait, headers={"Content-Type": "application/x-npz"}),
            raw(bait, headers=JSON),
            form(bait),
            as_json(image=text),
            form(PHOTO, explain=True, mask=text),
            form(PHOTO, explain={"method": "lime", "segments": text}),
        )
    assert not sentinel.exists()
    pickle.loads(pickled).close()
    assert sentinel.exists(), "the bait would have worked"


def test_a_photo_is_never_an_address(lens: Lens, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PHOTO)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        host, port = listener.getsockname()
        for address in (
            f"http://{host}:{port}/photo.png",
            f"//{host}:{port}/photo.png",
            (tmp_path / "photo.png").as_uri(),
            str(tmp_path / "photo.png"),
        ):
            for call in (
                raw(address.encode()),
                form(image=address),
                form(PHOTO, explain=True, mask=address),
                as_json(image=address),
                as_json(image={"b64": address}),
            ):
                assert lens.problem(call)["type"] == "bad_image"
        with pytest.raises(BlockingIOError):
            listener.accept()
        socket.create_connection((host, port)).close()
        listener.settimeout(PATIENCE_S)
        listener.accept()[0].close()  # it would have been seen


@pytest.mark.parametrize("tail", ["/1.0/a/..%2f..%2fb", "/1.0/\u2603"])
def test_what_stands_behind_a_models_name_changes_nothing(lens: Lens, tail: str) -> None:
    """Fact 12: it becomes a header of the row."""
    call = raw(PHOTO)
    assert lens.ask(Call(call.path + tail, call.how)).json() == lens.bare(PHOTO)


def test_a_line_break_behind_a_models_name_is_refused_by_the_front_end(lens: Lens) -> None:
    call = raw(PHOTO)
    answer = lens.ask(Call(call.path + "/1.0/%0d%0aSet-Cookie:x", call.how))
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
