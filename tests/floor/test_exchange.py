"""What is made on one stack serves on the other: archives of today on the oldest, and back.

Building takes Python 3.11. What it finds out by running the model, and weights, it has from the
Python that the worker is to have: for archives called `-oldest` that one was on the oldest stack.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from archive_fixtures.foreign import make_foreign
from lens_caller import Call, Lens, as_json, assert_same, assert_same_answer, form, raw
from lens_fixtures import TINY
from lens_pictures import photo
from oldest_model import KEYS

from servelens import codec
from servelens.engine.session import Session
from servelens.local import Model, TorchServe, front_end
from servelens.protocol import read_request
from servelens_archives import instrumenting, preflight
from servelens_archives.builder import build
from servelens_archives.instrumenting import Change, instrument
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


BUILT = ("tiny-today", "tiny-oldest")
# Somebody's archives, as they were; instrumented on either stack they are called after it.
FOREIGN = ("function", "stock")
INSTRUMENTED = tuple(f"{name}-{made}" for name in FOREIGN for made in ("today", "oldest"))
# Of a ResNet's, which takes its time.
A_FEW = ("a photo", "the default plan", "activations of one", "what is unknown", "no picture")
# What NumPy is here writes the weights that it reads.
WEIGHTS_ANEW = """
import sys
from pathlib import Path
from servelens.engine.folder.loading import read_weights, write_weights
weights = Path(sys.argv[1], "weights.npz")
write_weights(weights, read_weights(weights))
"""


@pytest.fixture(scope="module")
def store(root: Path, floor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts, store = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("store")
    make_foreign(root, parts, store)
    shutil.copy(root / "tests" / "models" / "tiny_net.py", parts)
    make(parts, store, "today")
    with found_out_by(floor):
        make(parts, store, "oldest")
    return store


def make(parts: Path, store: Path, where: str) -> None:
    recipe = parts / f"{where}.toml"
    recipe.write_text(TINY.replace('name = "tiny"', f'name = "tiny-{where}"'))
    build(load_recipe(recipe), store, weights="none", seed=5)
    for name in FOREIGN:
        instrument(store / f"{name}.mar", store / f"{name}-{where}.mar", Change())


@contextmanager
def found_out_by(python: Path) -> Iterator[None]:
    """What a build and a look run in a process as their worker's, this Python runs."""

    def run_job(
        arguments: Sequence[str], report: Path, *, environment: Mapping[str, str], seconds: float
    ) -> Any:
        """As the builder's own, but for -P, which Python 3.9 does not know."""
        elsewhere: dict[str, Any] = {"env": dict(environment), "cwd": report.parent, "check": True}
        if arguments[0] == str(preflight.CHILD):
            subprocess.run([python, "-c", WEIGHTS_ANEW, arguments[1]], **elsewhere)
        subprocess.run([python, *arguments], timeout=seconds, **elsewhere)
        return json.loads(report.read_text())["result"]

    with pytest.MonkeyPatch.context() as patch:
        for module in (preflight, instrumenting):
            patch.setattr(module, "run_job", run_job)
        yield


def serving(store: Path, root: Path, *more: str) -> TorchServe:
    archives = (*BUILT, *INSTRUMENTED, *more)
    models = [Model(f"{name}.mar", name) for name in archives]
    return TorchServe(
        store,
        models,
        config=root / "config.properties",
        environ={"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def today(store: Path, root: Path) -> Iterator[Lens]:
    with serving(store, root) as server:
        yield Lens(server, root / "docs" / "schemas")


@pytest.fixture(scope="module")
def oldest(store: Path, root: Path, floor: Path) -> Iterator[Lens]:
    """The same archives, their workers and TorchServe's own Python half on the oldest stack."""
    asked = "import ts, pathlib; print(pathlib.Path(ts.__file__).resolve().parent.parent)"
    home = subprocess.run([floor, "-c", asked], check=True, capture_output=True, text=True).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(floor))
        patch.setattr(front_end, "_torchserve_home", lambda: Path(home.strip()))
        server = serving(store, root, *FOREIGN)
        server.__enter__()
    try:
        yield Lens(server, root / "docs" / "schemas")
    finally:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("model", [*BUILT, *INSTRUMENTED])
def test_the_two_are_the_stacks_that_they_should_be(today: Lens, oldest: Lens, model: str) -> None:
    new, old = (lens.ask(form(describe=True), model).json()["versions"] for lens in (today, oldest))
    assert (old["torch"].split("+")[0], old["captum"]) == ("2.4.0", "0.6.0")
    assert tuple(map(int, new["torch"].split(".")[:2])) > (2, 4)
    assert tuple(map(int, new["python"].split(".")[:2])) >= (3, 11)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("model", [*BUILT, "function-today", "function-oldest"])
def test_an_archive_answers_alike_on_both_stacks(
    today: Lens, oldest: Lens, model: str, question: str
) -> None:
    call = QUESTIONS[question]
    assert_same_answer(oldest.ask(call, model), today.ask(call, model))


@pytest.mark.parametrize("question", A_FEW)
@pytest.mark.parametrize("model", ["stock-today", "stock-oldest"])
def test_a_usual_archive_with_a_lens_answers_alike_on_both_stacks(
    today: Lens, oldest: Lens, model: str, question: str
) -> None:
    one = form(photo(), activations={"layers": ["layer1"], "channels": 2}, explain="saliency")
    call = {**QUESTIONS, "activations of one": one}[question]
    assert_same_answer(oldest.ask(call, model), today.ask(call, model))


@pytest.mark.parametrize("name", FOREIGN)
def test_an_instrumented_archive_predicts_on_the_oldest_stack_as_it_did(
    oldest: Lens, name: str
) -> None:
    for call in (raw(photo(0)), raw(photo(1)), form(photo(2)), raw(b"no picture")):
        before, *after = (oldest.ask(call, f"{name}{end}") for end in ("", "-today", "-oldest"))
        for answer in after:
            assert (answer.status_code, answer.content) == (before.status_code, before.content)


@pytest.mark.parametrize("name", ["tiny", *FOREIGN])
def test_both_stacks_find_the_same_of_a_model(store: Path, name: str) -> None:
    new, old = (found_of(store / f"{name}-{made}.mar") for made in ("today", "oldest"))
    assert old.pop("versions")["torch"].split("+")[0] == "2.4.0"
    assert new.pop("versions")["torch"].split("+")[0] != "2.4.0"
    assert_same(old, new, "capability")


def found_of(archive: Path) -> Any:
    """What a build or a look wrote, but for what the archives are called."""
    with zipfile.ZipFile(archive) as opened:
        found = json.loads(opened.read("capability.json"))
    of_the_archive = ("name", "title", "digest")
    found["model"] = {k: v for k, v in found["model"].items() if k not in of_the_archive}
    return found


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
