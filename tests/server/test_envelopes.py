"""Servers with a service envelope: behind it an instrumented archive is what it was, and no more.

An envelope makes other rows of what callers sent, and something else of what handlers answer, so
that no lens request would come through it whole. `service_envelope` of config.properties is for all
archives of a server, and the only place where TorchServe looks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from foreign_archives import with_manifest
from lens_caller import Call, Lens, form, kserve, raw
from lens_pictures import base64_of, photo

from servelens.local import TorchServe
from servelens_archives.instrumenting import Change, instrument

ENVELOPES = ("json", "kserve", "body")
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
PHOTO = photo(0)
# Under the names that a row has its only value under where no envelope has made it.
ONE, ANOTHER = {"data": base64_of(PHOTO)}, {"body": base64_of(photo(1))}
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
    "body": {"a photo", "an explained photo", "lens keys of a form"},
}


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory, pack: Callable[..., Path]) -> Path:
    """old.mar; new.mar, which is it with a lens; told.mar, which is new.mar with `envelope` in its
    manifest."""
    store = tmp_path_factory.mktemp("enveloped")
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
    server = start_server(store, "old.mar", "new.mar", settings={"service_envelope": request.param})
    yield request.param, Lens(server, root / "docs" / "schemas")
    server.front_end.stop()


def told(answer: requests.Response) -> tuple[object, ...]:
    return answer.status_code, answer.reason, answer.headers.get("Content-Type"), answer.content


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
