"""Archives that were not built by us, as they were and with a lens, side by side on one server."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from archive_fixtures.foreign import LABELS, make_foreign
from grpc_door import GrpcDoor
from lens_caller import Call, Lens, as_json, form, kserve, raw
from lens_pictures import base64_of, halves, photo, saved, scene
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet18

from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import place
from servelens.local import Model, TorchServe

FOREIGN = ("stock", "colours", "scripted", "function")
OLD_VERSION, NEW_VERSION = "1.0", "2.0"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the archives were made of."""
    return tmp_path_factory.mktemp("foreign-parts")


@pytest.fixture(scope="module")
def store(root: Path, parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each archive, and beside it `<name>-lens.mar`, which is its next version."""
    store = tmp_path_factory.mktemp("foreign-store")
    make_foreign(root, parts, store)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda name: instrument(store, name), FOREIGN))
    return store


def instrument(store: Path, name: str) -> subprocess.CompletedProcess[str]:
    version = ("--version", NEW_VERSION)
    done = servelens(store / f"{name}.mar", "--out", store / f"{name}-lens.mar", *version)
    assert done.returncode == 0, done.stderr
    (store / f"{name}.said").write_text(done.stderr)
    return done


def servelens(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "servelens_archives.instrument", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def lens(root: Path, store: Path, start_server: Callable[..., TorchServe]) -> Iterator[Lens]:
    """All of them side by side: who names no version gets the old one, which came first."""
    old = [f"{name}.mar" for name in FOREIGN]
    server = start_server(store, *old, environ={"OMP_NUM_THREADS": "1"})
    for name in FOREIGN:
        server.register(Model(f"{name}-lens.mar", name))
    yield Lens(server, root / "docs" / "schemas")
    server.front_end.stop()


def old_and_new(name: str) -> tuple[str, str]:
    """As they stand in an address."""
    return f"{name}/{OLD_VERSION}", f"{name}/{NEW_VERSION}"


@contextmanager
def by_default(lens: Lens, name: str, version: str) -> Iterator[str]:
    """For doors that take no version, and callers that name none."""
    lens.server.client.set_default(name, version)
    try:
        yield name
    finally:
        lens.server.client.set_default(name, OLD_VERSION)


def told(answer: requests.Response) -> tuple[Any, ...]:
    return answer.status_code, answer.reason, answer.headers.get("Content-Type"), answer.content


PHOTOS = {
    "png": photo(0),
    "another": photo(1),
    "wide jpeg": saved(scene(1, 640, 200), "JPEG"),
    "small": saved(scene(2, 60, 90)),
    "grey": saved(scene().convert("L")),
    "alpha": saved(scene().convert("RGBA")),
}
PLAIN: dict[str, Call] = {
    **{name: raw(image) for name, image in PHOTOS.items()},
    "typed": raw(photo(2), headers={"Content-Type": "image/png"}),
    "form": form(photo(2)),
    "their own field": form(photo(2), top_k=3),
    "keys that only shape": form(photo(2), top_k=1, id="7", target=2, format="npz", seed=1),
    "json": as_json(photo(2), top_k=2),
    "their own json": Call("/predictions/MODEL", {"json": {"data": base64_of(photo(2))}}),
    "a tensor": Call("/predictions/MODEL", {"json": {"data": [[0.5] * 3] * 3}}),
    "no picture": raw(b"no picture at all"),
    "half a picture": raw(photo(0)[:2000]),
    "nothing": raw(b""),
    "urlencoded": raw(photo(0), headers={}),
    "broken json": raw(b'{"explain": ', headers={"Content-Type": "application/json"}),
    "words of ours in a picture": raw(b'{"explain" is no JSON'),
    "described": raw(photo(0), headers={"describe": "True"}),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_prediction_is_what_it_was_byte_for_byte(lens: Lens, name: str, kind: str) -> None:
    old, new = (told(lens.ask(PLAIN[kind], model)) for model in old_and_new(name))
    assert new == old


@pytest.mark.parametrize("name", FOREIGN)
def test_who_names_no_version_is_answered_as_before_by_the_next_one(
    lens: Lens, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By all doors that take none: of KServe's two verbs the other one is the lens's."""
    door = GrpcDoor(lens.server.ports.grpc_inference, tmp_path_factory.mktemp("grpc"))
    instance = {"data": base64_of(photo(2))}
    answers = []
    try:
        for version in (OLD_VERSION, NEW_VERSION):
            with by_default(lens, name, version) as model:
                over_http = [lens.ask(call, model) for call in (raw(photo(1)), kserve([instance]))]
                headers = lens.server.authorization()
                over_grpc = door.predictions(headers, model, data=photo(1))
                described = lens.ask(form(describe=True), model)
            assert (described.status_code == 200) == (version == NEW_VERSION), "which answers"
            answers.append(([told(answer) for answer in over_http], over_grpc))
    finally:
        door.close()
    old, new = answers
    assert new == old
    (predicted, *_), by_grpc = old
    assert predicted[0] == 200
    assert by_grpc == predicted[-1]


def test_photos_are_told_apart(lens: Lens) -> None:
    """Without this, the comparison would say little."""
    for name in FOREIGN:
        first, second = (lens.ask(raw(photo(seed)), old_and_new(name)[0]) for seed in (0, 1))
        assert first.status_code == second.status_code == 200
        assert first.content != second.content


def test_a_batch_of_plain_rows_is_what_it_was(lens: Lens) -> None:
    calls = [raw(photo(0)), form(photo(1), top_k=3), raw(photo(2)), raw(photo(3))]
    for some in (calls[:1], calls[:3], calls):
        old, new = (lens.together(model, *some) for model in old_and_new("colours"))
        assert [told(answer) for answer in new] == [told(answer) for answer in old]
        assert all(answer.status_code == 200 for answer in new)


def test_a_batch_that_fails_as_a_whole_fails_as_it_did(lens: Lens) -> None:
    calls = [raw(photo(0)), raw(b"no picture"), raw(photo(2))]
    old, new = (lens.together(model, *calls) for model in old_and_new("colours"))
    assert [told(answer) for answer in new] == [told(answer) for answer in old]
    assert {answer.status_code for answer in new} == {503}


def test_plain_rows_beside_others_are_a_batch_of_their_own(lens: Lens) -> None:
    plain = [raw(photo(0)), form(photo(1), top_k=3)]
    asked = form(photo(2), explain="saliency", dtype="float32")
    streamed = form(photo(3), explain="saliency", target=[0, 1], stream=True)
    before, after = old_and_new("colours")
    old = lens.together(before, *plain)
    *new, document, frames = lens.together(after, *plain, asked, streamed)
    assert [told(answer) for answer in new] == [told(answer) for answer in old]
    alone = lens.document(asked, after)
    seen = lens.read_document(document)
    assert np.array_equal(seen["attributions"][0]["map"], alone["attributions"][0]["map"])
    assert len(lens.read_document(frames)["attributions"]) == 2


def test_a_plain_row_that_fails_beside_others_is_refused_as_it_was(lens: Lens) -> None:
    before, after = old_and_new("colours")
    old = lens.ask(raw(b"no picture"), before)
    calls = [raw(b"no picture"), form(photo(0), explain="saliency"), raw(photo(1))]
    refused, document, neighbour = lens.together(after, *calls)
    assert told(refused) == told(neighbour) == told(old)
    assert lens.read_document(document)["attributions"][0]["map"].shape == (64, 96)


@pytest.mark.parametrize("name", FOREIGN)
def test_the_archive_is_explained(lens: Lens, name: str) -> None:
    new = old_and_new(name)[1]
    # A ResNet is slow on a busy machine, and of few steps the sum is rough.
    path = {"method": "integrated_gradients", "steps": 16 if name == "stock" else 50}
    methods: list[Any] = ["grad_cam", path, {"method": "occlusion", "window": 48, "stride": 48}]
    document = lens.document(form(photo(0), explain=methods, dtype="float32"), new)
    cam, gradients, occlusion = document["attributions"]
    size = tuple(document["input"]["size"])
    for found in (gradients, occlusion):
        assert found["map"].shape == size
        assert np.abs(found["map"]).max() > 0
    rough = 0.2 * max(1, abs(gradients["map"].sum())) if name == "stock" else 0.05
    assert abs(gradients["convergence_delta"]) < rough
    if name == "scripted":
        assert cam["map"] is None
        assert cam["problem"]["type"] == "unsupported"
        assert "TorchScript refuses hooks" in cam["problem"]["message"]
    else:
        assert cam["map"].max() > 0
        assert cam["map"].ndim == 2


@pytest.mark.parametrize("name", ["stock", "scripted"])
def test_the_lens_predicts_what_the_handler_predicts(lens: Lens, name: str) -> None:
    old, new = old_and_new(name)
    document = lens.document(form(photo(0), explain=False), new)
    ours = {one["label"]: one["probability"] for one in document["predictions"]}
    assert ours == pytest.approx(lens.bare(photo(0), old), abs=1e-5)


def test_what_is_explained_is_the_handlers_own_tensor(lens: Lens, parts: Path) -> None:
    """The gradient by hand, at what torchvision makes of the photo as the stock handler has it."""
    model = resnet18(num_classes=12)
    model.load_state_dict(torch.load(parts / "resnet.pth", weights_only=True))
    prepared = STOCK(Image.open(io.BytesIO(photo(1))))[None].requires_grad_()
    logits = model.eval()(prepared)
    logits[0, logits.argmax()].backward()
    expected = prepared.grad[0].abs().sum(dim=0).numpy()
    asked = form(photo(1), explain="saliency", dtype="float32")
    document = lens.document(asked, old_and_new("stock")[1])
    found = document["attributions"][0]["map"]
    assert np.abs(found - expected).max() < 1e-3 * expected.max()


STOCK = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


@pytest.mark.parametrize("size", [(320, 280), (640, 200), (60, 90)])
def test_where_the_model_looks_is_measured(lens: Lens, size: tuple[int, int]) -> None:
    seen = {
        "stock": place(*size, InputSpec()).in_photo(*size),
        "colours": (0, 0, *size),
        "function": (0, 0, min(size), min(size)),
    }
    for name, crop in seen.items():
        asked = form(saved(scene(4, *size)), explain=False)
        told = lens.document(asked, old_and_new(name)[1])["input"]
        assert (told["width"], told["height"]) == size
        assert np.abs(np.subtract(told["crop"], crop)).max() <= 1


def test_a_mask_is_laid_where_the_model_looks(lens: Lens) -> None:
    """The left half of the photo is that of the input, of which the map has some share."""
    asked = form(
        photo(0), explain="saliency", trust=True, mask=base64_of(halves()), dtype="float32"
    )
    document = lens.document(asked, old_and_new("colours")[1])
    (found,) = document["attributions"]
    left = found["map"][:, :48].sum() / found["map"].sum()
    assert found["trust"]["mass"] == pytest.approx(left, abs=1e-3)


def test_activations_are_the_models_own(lens: Lens) -> None:
    for name in ("colours", "function"):
        document = lens.document(form(photo(0), activations="block"), old_and_new(name)[1])
        (found,) = document["activations"]
        assert found["shape"][0] == 8


@pytest.mark.parametrize("name", FOREIGN)
def test_what_may_be_asked_is_described(lens: Lens, name: str, store: Path) -> None:
    new = old_and_new(name)[1]
    described = lens.ask(form(describe=True), new).json()
    lens.check("capability", described)
    assert described["input"]["prepared"] is True
    methods = {entry["name"]: entry for entry in described["methods"]}
    assert all(methods[name]["supported"] for name in ("saliency", "occlusion", "rise", "lime"))
    said = (store / f"{name}.said").read_text()
    if name == "scripted":
        assert described["default_plan"] == ["saliency"]
        assert described["layers"] == []
        assert not methods["grad_cam"]["supported"]
        assert "it reads layers, and TorchScript refuses hooks on them" in said
    else:
        assert described["default_plan"] == ["grad_cam"]
        assert methods["grad_cam"]["supported"]
    labels = {"stock": 12, "function": 6}.get(name, LABELS)
    if isinstance(labels, tuple):
        assert tuple(described["labels"]) == labels
    else:
        assert len(described["labels"]) == labels
    assert f"{len(described['labels'])} classes" in said


def test_the_explanations_door_and_kserve_s_are_the_lens_s(lens: Lens) -> None:
    by_door = lens.document(raw(photo(0), "explanations"), old_and_new("function")[1])
    assert by_door["attributions"][0]["method"] == "grad_cam"
    instance = {"b64": base64_of(photo(0))}
    with by_default(lens, "function", NEW_VERSION) as model:
        answer = lens.ask(kserve([instance], "explain"), model).json()
        (explained,) = answer["explanations"]
        assert explained["attributions"][0]["method"] == "grad_cam"
        asked = kserve([{**instance, "explain": "saliency"}])
        (explained,) = lens.ask(asked, model).json()["predictions"]
        assert explained["attributions"][0]["method"] == "saliency"


def test_what_its_handler_cannot_prepare_is_a_problem_of_that_row(lens: Lens) -> None:
    colours = old_and_new("colours")[1]
    problem = lens.problem(form(b"no picture", explain=True), colours)
    assert (problem["type"], problem["where"]) == ("bad_image", "image")
    grey = form(PHOTOS["grey"], explain=True)
    problem = lens.problem(grey, old_and_new("stock")[1])
    assert "the archive's own handler could not prepare the image" in problem["message"]
    unknown = lens.problem(form(photo(0), explain="saliency", zoom=2), colours)
    assert unknown["type"] == "unknown_key"


def test_grpc_takes_lens_keys(lens: Lens, tmp_path: Path) -> None:
    door = GrpcDoor(lens.server.ports.grpc_inference, tmp_path)
    try:
        fields = {"data": photo(0), "explain": b"saliency"}
        new = old_and_new("function")[1]
        asked = door.predictions(lens.server.authorization(), new, **fields)
        assert json.loads(asked)["attributions"][0]["problem"] is None
    finally:
        door.close()


@pytest.mark.parametrize("name", FOREIGN)
def test_the_way_back_gives_the_same_files(store: Path, tmp_path: Path, name: str) -> None:
    back = tmp_path / "back.mar"
    done = servelens(store / f"{name}-lens.mar", "--undo", "--out", back)
    assert done.returncode == 0, done.stderr
    assert files_of(back) == files_of(store / f"{name}.mar")


def test_all_that_was_there_is_still_there(store: Path) -> None:
    for name in FOREIGN:
        old, new = (files_of(store / f"{name}{end}.mar") for end in ("", "-lens"))
        manifest = "MAR-INF/MANIFEST.json"
        assert new["MAR-INF/ORIGINAL-MANIFEST.json"] == old[manifest]
        assert all(new[file] == old[file] for file in old if file != manifest)
        was, now = (json.loads(files[manifest]) for files in (old, new))
        now.pop("servelens")
        now["model"]["handler"] = was["model"]["handler"]
        assert now["model"].pop("modelVersion") == NEW_VERSION
        assert was["model"].pop("modelVersion") == OLD_VERSION
        assert now == was


def files_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {one: opened.read(one) for one in opened.namelist() if not one.endswith("/")}
