"""An archive that the builder made, in a real worker: it is the model, whole, and says so."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import torch
from grey_net import Net
from grey_recipe import LABELS, SIZE, make_recipe
from PIL import Image

from servelens.engine.folder.digest import folder_digest
from servelens.local import Model, TorchServe
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return Net(len(LABELS)).eval()


@pytest.fixture(scope="module")
def mar(tmp_path_factory: pytest.TempPathFactory, model: torch.nn.Module) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    torch.save(model.state_dict(), folder / "tiny.pt")
    return build(load_recipe(make_recipe(folder, weights="tiny.pt")), folder / "store")


@pytest.fixture(scope="module")
def server(mar: Path, start_server: Callable[..., TorchServe]) -> TorchServe:
    asked = Model(mar.name, "asked", workers=1, batch_size=2, batch_delay_ms=9)
    return start_server(mar.parent, Model(mar.name, "tiny", workers=1), asked)


def registered(server: TorchServe, name: str) -> dict[str, int]:
    answer = requests.get(
        f"{server.ports.url('management')}/models/{name}",
        headers=server.authorization("management"),
        timeout=30,
    )
    keys = ("batchSize", "maxBatchDelay", "responseTimeout")
    return {key: answer.json()[0][key] for key in keys}


def test_the_worker_answers_what_the_model_computes(
    server: TorchServe, model: torch.nn.Module
) -> None:
    photo = io.BytesIO()
    Image.new("L", (20, 16), 255).save(photo, "PNG")
    answer = requests.post(
        f"{server.url}/predictions/tiny",
        data=photo.getvalue(),
        headers=server.authorization(),
        timeout=60,
    )
    with torch.no_grad():
        expected = model(torch.full((1, 1, *SIZE), (1 - 0.5) / 0.5)).softmax(1)[0].tolist()
    assert answer.status_code == 200
    assert answer.json() == pytest.approx(dict(zip(LABELS, expected, strict=True)))


def test_the_worker_names_the_archive_by_the_digest_of_its_files(
    server: TorchServe, mar: Path, tmp_path: Path
) -> None:
    """What TorchServe and Python add to the unpacked folder must not change the name."""
    with zipfile.ZipFile(mar) as archive:
        archive.extractall(tmp_path)
    answer = requests.post(
        f"{server.url}/predictions/tiny",
        files={"describe": (None, "true")},
        headers=server.authorization(),
        timeout=60,
    )
    assert answer.json()["model"]["digest"] == folder_digest(tmp_path)


def test_batch_size_and_delay_are_the_archives_until_a_call_names_others(
    server: TorchServe,
) -> None:
    assert registered(server, "tiny") == {
        "batchSize": 4,
        "maxBatchDelay": 7,
        "responseTimeout": 99,
    }
    assert registered(server, "asked") == {
        "batchSize": 2,
        "maxBatchDelay": 9,
        "responseTimeout": 99,
    }
