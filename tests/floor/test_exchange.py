"""What is made on one stack serves on the other: archives of today on the oldest, and back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lens_caller import Call, Lens, as_json, assert_same, assert_same_answer, form, raw
from lens_fixtures import TINY
from lens_pictures import photo
from oldest_model import KEYS

from servelens import codec
from servelens.engine.session import Session
from servelens.local import Model, TorchServe, front_end
from servelens.protocol import read_request
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe

QUESTIONS: dict[str, Call] = {
    "a photo": raw(photo()),
    "the default plan": raw(photo(), "explanations"),
    "gradients": form(photo(), explain=["saliency", "integrated_gradients", "guided_backprop"]),
    "class activation maps": form(photo(), explain=["grad_cam", "hires_cam", "score_cam"]),
    "relevance": form(photo(), explain=["deep_lift", "lrp"], target="top:2"),
    "perturbations": as_json(photo(), explain=["occlusion", "rise", "lime"], seed=3),
    "smoothing": form(photo(), explain=["smooth_grad"], seed=3),
    "activations": form(photo(), activations=["*"], format="npz"),
    "weights": form(weights=["stem"]),
    "a unit": form(photo(), receptive_field={"layer": "last", "channel": 3}),
    "channels": form(photo(), rank_channels={"layer": "last"}),
    "an edit": form(photo(), ablate=[{"layer": "last", "channels": [1, 2]}]),
    "a stream": form(photo(), explain=["saliency"], target=[0, 1], stream=True),
    "evidence": form(photo(), explain=["saliency"], trust=True),
    "what is unknown": form(photo(), explain="gradcam"),
    "no picture": raw(b"no picture"),
}


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts, store = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("store")
    shutil.copy(root / "tests" / "models" / "tiny_net.py", parts)
    (parts / "tiny.toml").write_text(TINY)
    build(load_recipe(parts / "tiny.toml"), store, weights="none", seed=5)
    return store


def serving(store: Path, root: Path) -> TorchServe:
    return TorchServe(store, [Model("tiny.mar", "tiny")], config=root / "config.properties")


@pytest.fixture(scope="module")
def today(store: Path, root: Path) -> Iterator[Lens]:
    with serving(store, root) as server:
        yield Lens(server, root / "docs" / "schemas")


@pytest.fixture(scope="module")
def oldest(store: Path, root: Path, floor: Path) -> Iterator[Lens]:
    """The same archive, its worker and TorchServe's own Python half on the oldest stack."""
    asked = "import ts, pathlib; print(pathlib.Path(ts.__file__).resolve().parent.parent)"
    home = subprocess.run([floor, "-c", asked], check=True, capture_output=True, text=True).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(floor))
        patch.setattr(front_end, "_torchserve_home", lambda: Path(home.strip()))
        with serving(store, root) as server:
            yield Lens(server, root / "docs" / "schemas")


def test_the_two_are_the_stacks_that_they_should_be(today: Lens, oldest: Lens) -> None:
    new, old = (lens.ask(form(describe=True)).json()["versions"] for lens in (today, oldest))
    assert (old["torch"].split("+")[0], old["captum"]) == ("2.4.0", "0.6.0")
    assert tuple(map(int, new["torch"].split(".")[:2])) > (2, 4)
    assert tuple(map(int, new["python"].split(".")[:2])) >= (3, 11)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_archive_of_today_answers_alike_on_the_oldest_stack(
    today: Lens, oldest: Lens, question: str
) -> None:
    call = QUESTIONS[question]
    assert_same_answer(oldest.ask(call), today.ask(call))


def test_a_model_of_the_oldest_stack_answers_alike_today(floor: Path, tmp_path: Path) -> None:
    folder, picture = tmp_path / "model", tmp_path / "photo.png"
    folder.mkdir()
    picture.write_bytes(photo())
    script = Path(__file__).with_name("oldest_model.py")
    subprocess.run([floor, script, folder, picture], check=True)
    (answer,) = Session.load(folder).run([read_request(KEYS, photo())])
    expected = codec.read_json((tmp_path / "answer.json").read_bytes())
    given = codec.read_json(codec.write_json(codec.pack_json(answer, "float32")))
    assert_same(given | {"cost": 0}, expected | {"cost": 0}, "answer")
