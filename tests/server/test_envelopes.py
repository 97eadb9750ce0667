"""Servers with a service envelope: an archive of ours answers behind it, and an instrumented one is
what it was, and no more.

An envelope makes other rows of what callers sent, and something else of what handlers answer.
`service_envelope` of config.properties is for all archives of a server, and the only place where
TorchServe looks for one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import requests
from archive_fixtures.packing import pack, with_manifest
from lens_caller import Call, Lens, form, kserve, raw
from lens_pictures import base64_of, photo

from servelens import codec
from servelens.engine.session import Session
from servelens.local import TorchServe
from servelens.protocol import Document, read_request
from servelens_archives.instrumenting import Change, instrument

ENVELOPES = ("json", "kserve", "kservev2", "body")
# Answers rows of all three, and by /explanations something else.
HANDLER = """
import base64
import io

import torch
from PIL import Image
from tiny_net import TinyNet
from torchvision.transforms.functional import to_tensor


class Theirs:
    def initialize(self, context):
        torch.manual_seed(0)
        self.model = TinyNet(6).eval()

    def handle(self, data, context):
        explains = context.get_request_header(0, "explain") == "True"
        return [self.explained(row) if explains else self.scores(row) for row in data]

    def explained(self, row):
        return {"theirs": self.scores(row)}

    def scores(self, row):
        image = (row.get("data") or row.get("body")) if isinstance(row, dict) else row
        image = base64.b64decode(image) if isinstance(image, str) else image
        photo = Image.open(io.BytesIO(image)).convert("RGB").resize((32, 32))
        with torch.inference_mode():
            return self.model(to_tensor(photo)[None])[0].tolist()
"""
PHOTOS = PHOTO, OTHER = photo(0), photo(1)
# Under the names that a row has its only value under where no envelope has made it.
ONE, ANOTHER = {"data": base64_of(PHOTO)}, {"body": base64_of(OTHER)}


def second_version(*photos: bytes, verb: str = "infer") -> Call:
    tensor = {"shape": [1], "datatype": "BYTES"}
    inputs = [
        {**tensor, "name": f"photo {number}", "data": [base64_of(photo)]}
        for number, photo in enumerate(photos)
    ]
    return Call(f"/v2/models/MODEL/{verb}", {"json": {"id": "ours", "inputs": inputs}})


CALLS: dict[str, Call] = {
    "instances": kserve([ONE]),
    "several": kserve([ONE, ANOTHER]),
    "instances at the usual door": Call("/predictions/MODEL", {"json": {"instances": [ANOTHER]}}),
    "a photo": raw(PHOTO),
    "explained instances": kserve([ANOTHER], "explain"),
    "an explained photo": raw(PHOTO, "explanations"),
    "lens keys": kserve([{**ONE, "explain": "saliency"}], explain=True),
    "lens keys of a form": form(PHOTO, explain="saliency"),
    "described": kserve([{**ONE, "describe": True}]),
    "second version": second_version(*PHOTOS),
    "explained of the second version": second_version(PHOTO, verb="explain"),
    "no picture": kserve([{"data": base64_of(b"no picture")}]),
    "no instances": Call("/predictions/MODEL", {"json": {"explain": True}}),
}
OF_INSTANCES = {
    *("instances", "several", "instances at the usual door"),
    *("explained instances", "lens keys", "described"),
}
ANSWERED = {
    "json": OF_INSTANCES,
    "kserve": OF_INSTANCES,
    "kservev2": {"second version", "explained of the second version"},
    "body": {"a photo", "an explained photo", "lens keys of a form"},
}


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory, lens_store: Path) -> Path:
    """old.mar; new.mar, which is it with a lens; told.mar, which is new.mar with `envelope` in its
    manifest; tiny.mar, which is ours."""
    store = tmp_path_factory.mktemp("enveloped")
    shutil.copy(lens_store / "tiny.mar", store)
    handler = tmp_path_factory.mktemp("handler") / "theirs.py"
    handler.write_text(HANDLER)
    tiny = root / "tests" / "models" / "tiny_net.py"
    pack(store, "old", "--handler", handler, "--extra-files", tiny)
    instrument(store / "old.mar", store / "new.mar", Change(), look=False)
    with_manifest(store / "new.mar", store / "told.mar", envelope="json")
    return store


@pytest.fixture(scope="module", params=ENVELOPES)
def enveloped(
    request: pytest.FixtureRequest, root: Path, store: Path, start_server: Callable[..., TorchServe]
) -> Iterator[tuple[str, Lens]]:
    models = "old.mar", "new.mar", "tiny.mar"
    server = start_server(store, *models, settings={"service_envelope": request.param})
    yield request.param, Lens(server, root / "docs" / "schemas")
    server.front_end.stop()


@pytest.fixture(scope="module")
def ours(lens_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """What tiny.mar has, without a server."""
    folder = tmp_path_factory.mktemp("ours")
    with ZipFile(lens_store / "tiny.mar") as archive:
        archive.extractall(folder)
    return Session.load(folder)


def told(answer: requests.Response) -> tuple[object, ...]:
    """KServe's second version says which model it was."""
    content = answer.content.replace(b'"model_name": "new"', b'"model_name": "old"')
    return answer.status_code, answer.reason, answer.headers.get("Content-Type"), content


def test_behind_an_envelope_all_is_answered_as_it_was(enveloped: tuple[str, Lens]) -> None:
    envelope, lens = enveloped
    answered = set()
    for kind, call in CALLS.items():
        old, new = lens.ask(call, "old"), lens.ask(call, "new")
        assert told(new) == told(old), kind
        answered |= {kind} if old.status_code == 200 else set()
    assert answered == ANSWERED[envelope]
    log = (lens.server.front_end.logs / "model_log.log").read_text(errors="replace")
    assert f"no lens: the server has the service envelope {envelope}" in log


def test_an_envelope_in_a_manifest_is_none(
    root: Path, store: Path, start_server: Callable[..., TorchServe]
) -> None:
    """TorchServe overwrites it with the server's own, which there is none of here."""
    server = start_server(store, "told.mar")
    lens = Lens(server, root / "docs" / "schemas")
    assert lens.ask(CALLS["a photo"], "told").status_code == 200
    assert lens.ask(CALLS["instances"], "told").status_code == 503
    document = lens.document(form(PHOTO, explain="saliency"), "told")
    assert document["attributions"][0]["problem"] is None
    server.front_end.stop()


def answers(lens: Lens, envelope: str, *photos: bytes, explain: bool = False) -> list[Any]:
    """One for each photo, taken out of what the envelope has made of them."""
    if envelope == "body":
        door = "explanations" if explain else "predictions"
        return [lens.ask(raw(photo, door)).json() for photo in photos]
    if envelope == "kservev2":
        call = second_version(*photos, verb="explain" if explain else "infer")
        outputs = lens.ask(call).json()["outputs"]
        assert [output["name"] for output in outputs] == [f"photo {n}" for n in range(len(photos))]
        return [value for output in outputs for value in output["data"]]
    instances = [{"data": base64_of(photo)} for photo in photos]
    (listed,) = lens.ask(kserve(instances, "explain" if explain else "predict")).json().values()
    return list(listed)


def test_behind_an_envelope_an_archive_of_ours_predicts(
    enveloped: tuple[str, Lens], ours: Session
) -> None:
    envelope, lens = enveloped
    *good, bad = answers(lens, envelope, *PHOTOS, b"no picture")
    documents = ours.run([read_request({}, image) for image in PHOTOS])
    for answer, document in zip(good, documents, strict=True):
        assert isinstance(document, Document)
        wanted = {each.label: each.probability for each in document.predictions}
        assert answer == pytest.approx(wanted, abs=1e-6)
    lens.check("problem", bad)
    assert bad["type"] == "bad_image"


def test_behind_an_envelope_an_archive_of_ours_explains(
    enveloped: tuple[str, Lens], ours: Session
) -> None:
    envelope, lens = enveloped
    found = answers(lens, envelope, *PHOTOS, explain=True)
    for image, answer in zip(PHOTOS, found, strict=True):
        lens.check("document", answer)
        (attribution,) = codec.read_json(json.dumps(answer).encode())["attributions"]
        (wanted,) = ours.run([read_request({}, image, explain_by_default=True)])
        assert isinstance(wanted, Document)
        assert attribution["method"] == wanted.attributions[0].method
        expected = np.asarray(wanted.attributions[0].map)
        assert np.abs(attribution["map"] - expected).max() <= 1e-3 * np.ptp(expected)


def test_behind_an_envelope_an_instance_has_keys_of_its_own(
    enveloped: tuple[str, Lens],
) -> None:
    envelope, lens = enveloped
    asked = lens.ask(kserve([{**ONE, "explain": "saliency"}, {**ONE, "explain": "salience"}]))
    if envelope == "kservev2":
        assert asked.status_code == 503  # which takes no instances
        return
    explained, refused = asked.json()["predictions"]
    assert explained["attributions"][0]["method"] == "saliency"
    assert refused["type"] == "unknown_method"
    assert "instances[1]" in refused["where"]
