"""A recipe becomes an archive that a worker can load, the same bytes each time, or nothing."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from grey_net import Net
from grey_recipe import CODE, LABELS, SIZE, make_recipe
from PIL import Image

import servelens
from servelens.engine.folder.digest import folder_digest
from servelens.engine.folder.loading import read_weights
from servelens.engine.session import Session
from servelens.protocol import Document, Request
from servelens.torchserve.settings import read_settings
from servelens_archives import packing, staging
from servelens_archives.build import find_recipe, main
from servelens_archives.builder import build
from servelens_archives.errors import BuildError, PreflightError
from servelens_archives.packing import write_archive
from servelens_archives.recipe import Recipe, ServeSpec, load_recipe
from servelens_archives.staging import model_config

# Each builds whole archives, in processes that import torch anew.
pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe(make_recipe(tmp_path / "recipe"))


@pytest.fixture(scope="module")
def mar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    return build(load_recipe(make_recipe(folder / "recipe")), folder / "out", seed=3)


@pytest.fixture
def unpacked(mar: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(mar) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's TMPDIR, with characters that tools trip over."""
    folder = tmp_path / "tmp, [x] y"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_archive_holds_our_code_the_model_and_its_descriptions(mar: Path) -> None:
    with zipfile.ZipFile(mar) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    ours = {n for n in names if not n.startswith("servelens/")}
    assert ours == {
        "MAR-INF/MANIFEST.json", "capability.json", "lens_handler.py", "model-config.yaml",
        "model.json", "net.py", "provenance.json", "weights.npz",
    }  # fmt: skip
    assert {n.split("/")[1] for n in names if n.startswith("servelens/")} == {
        "__init__.py", "codec.py", "engine", "palettes.py", "protocol", "torchserve",
    }  # fmt: skip
    assert names == sorted(names)
    assert not [n for n in names if n.endswith(".pyc")]
    assert manifest["model"] == {
        "modelName": "tiny",
        "handler": "lens_handler.py",
        "modelVersion": "1.0",
        "configFile": "model-config.yaml",
    }


def test_whoever_builds_is_told_of_answers_too_large_for_a_server(
    recipe: Recipe, tmp_path: Path
) -> None:
    serve = ServeSpec(response_bytes=8_000_000)
    told: list[str] = []
    build(dataclasses.replace(recipe, serve=serve), tmp_path / "out", report=told.append)
    assert [line for line in told if line in serve.warnings()] == list(serve.warnings()) != []


def test_vendored_code_is_ours_to_the_byte(unpacked: Path) -> None:
    source = Path(servelens.__file__).parent
    for path in (unpacked / "servelens").rglob("*"):
        if path.is_file():
            original = source / path.relative_to(unpacked / "servelens")
            assert path.read_bytes() == original.read_bytes()


def test_the_unpacked_archive_answers_with_the_seeds_own_weights(unpacked: Path) -> None:
    torch.manual_seed(3)
    expected = Net(len(LABELS)).state_dict()
    found = read_weights(unpacked / "weights.npz")
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())

    photo = io.BytesIO()
    Image.new("L", (20, 16), 255).save(photo, "PNG")
    [document] = Session.load(unpacked).run([Request(image=photo.getvalue())])
    assert isinstance(document, Document)
    white = torch.full((1, 1, *SIZE), (1 - 0.5) / 0.5)
    maps = torch.relu(torch.conv2d(white, expected["conv.weight"], expected["conv.bias"]))
    logits = maps.mean((2, 3)) @ expected["fc.weight"].T + expected["fc.bias"]
    answered = {p.label: p.logit for p in document.predictions}
    for label, logit in zip(LABELS, logits[0].tolist(), strict=True):
        assert answered[label] == pytest.approx(logit, abs=1e-5)


def test_the_capability_document_was_surveyed_from_the_very_archive(unpacked: Path) -> None:
    capability = json.loads((unpacked / "capability.json").read_text())
    assert capability["labels"] == list(LABELS)
    assert capability["layers"][0]["name"] == "conv"
    assert capability["model"]["digest"] == folder_digest(unpacked)
    assert capability["default_plan_evidence"] is None
    assert capability["limits"]["response_bytes"] == 50_000


def test_the_configuration_is_what_both_torchserve_and_the_worker_read(unpacked: Path) -> None:
    config = yaml.safe_load((unpacked / "model-config.yaml").read_text())
    assert {k: v for k, v in config.items() if k != "servelens"} == {
        "batchSize": 4,
        "maxBatchDelay": 7,
        "responseTimeout": 99,
    }
    settings = read_settings(config)
    assert settings.limits.response_bytes == 50_000
    assert settings.limits.response_timeout_s == 99
    explained = yaml.safe_load(model_config(ServeSpec(nice=19, threads=2, dtype="bfloat16")))
    settings = read_settings(explained)
    assert (settings.nice, settings.threads, settings.dtype) == (19, 2, "bfloat16")


def test_the_provenance_has_versions_and_the_seed_and_no_path(unpacked: Path) -> None:
    text = (unpacked / "provenance.json").read_text()
    provenance = json.loads(text)
    assert provenance["weights"] == {
        "source": "none",
        "seed": 3,
        "file": None,
        "sha256": None,
        "left_out": [],
    }
    assert provenance["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "/" not in text


def test_the_same_recipe_gives_the_same_bytes_from_any_place(mar: Path, temporary: Path) -> None:
    """Also torch-model-archiver, which would delete it, leaves a folder of the model's name."""
    users_own = temporary / "tiny"
    users_own.mkdir()
    (users_own / "thesis.txt").write_text("the only copy")
    recipe = load_recipe(make_recipe(temporary / "another place"))
    again = build(recipe, temporary / "out of, [it]", seed=3)
    assert again.read_bytes() == mar.read_bytes()
    assert (users_own / "thesis.txt").read_text() == "the only copy"
    assert {path.name for path in temporary.iterdir()} == {
        "tiny",
        "another place",
        "out of, [it]",
    }


def test_the_command_builds_what_it_can_and_fails_for_the_rest(
    mar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_recipe(tmp_path / "good")
    bad = tmp_path / "bad.toml"
    bad.write_text("nmae = 3")
    out = tmp_path / "out"
    arguments = [str(bad), "resnet", str(good), "--seed", "3", "--variant", "explain"]
    assert main([*arguments, "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == f"{out / 'tiny-explain.mar'}\n"
    assert "nmae is not a key of a recipe; did you mean 'name'?" in said.err
    assert "there is no recipe 'resnet'; did you mean 'resnet50' or 'resnet34' or 'resnet18'?" in (
        said.err
    )
    with zipfile.ZipFile(out / "tiny-explain.mar") as explain, zipfile.ZipFile(mar) as plain:
        assert explain.read("weights.npz") == plain.read("weights.npz")
        assert json.loads(explain.read("model.json"))["title"] == "Tiny (explanations)"
        config = yaml.safe_load(explain.read("model-config.yaml"))
        assert (config["batchSize"], config["servelens"]["nice"]) == (1, 19)


def test_a_recipes_name_finds_its_file_and_a_path_is_taken_as_it_is() -> None:
    assert find_recipe("resnet18").is_file()
    assert find_recipe("some/where.toml") == Path("some/where.toml")
    with pytest.raises(BuildError, match="there is no recipe 'resnet81'; did you mean 'resnet18'"):
        find_recipe("resnet81")


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (CODE.replace("self.relu(self.conv(x))", "(x / (1 // 0))"), "ZeroDivisionError: integer"),
        (CODE.replace("return self.fc", "return self.fc.weight, self.fc"), "returns a tuple"),
    ],
)
def test_a_model_that_would_fail_in_its_worker_is_no_archive(
    tmp_path: Path, temporary: Path, net: str, sentence: str
) -> None:
    recipe = load_recipe(make_recipe(tmp_path / "recipe", net))
    with pytest.raises(BuildError) as error:
        build(recipe, tmp_path / "out")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").iterdir())
    assert not list(temporary.iterdir())


def test_code_that_was_not_vendored_is_missed_before_there_is_an_archive(
    recipe: Recipe, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tuple(name for name in staging.VENDORED if name != "protocol")
    monkeypatch.setattr(staging, "VENDORED", without)
    with pytest.raises(PreflightError, match=r"No module named 'servelens\.protocol'"):
        build(recipe, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert not list(temporary.iterdir())


def test_an_interrupted_write_leaves_what_was_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name in "ab":
        (folder / name).write_text(name)
    write_archive(folder, out / "x.mar")
    before = (out / "x.mar").read_bytes()
    add = packing._add

    def interrupted(archive: zipfile.ZipFile, path: Path, name: str) -> None:
        add(archive, path, name)
        if name == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(packing, "_add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_archive(folder, out / "x.mar")
    assert [path.name for path in out.iterdir()] == ["x.mar"]
    assert (out / "x.mar").read_bytes() == before


def test_a_build_that_is_told_to_stop_leaves_nothing(recipe: Recipe, tmp_path: Path) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "servelens_archives.build"),
            *(str(tmp_path / "recipe" / "tiny.toml"), "--out", str(out)),
        ],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(temporary.glob("servelens-build-*/export/tiny")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not list(temporary.iterdir())
    assert not list(out.iterdir())


def test_an_output_folder_that_cannot_be_is_told(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot be the folder of archives: "):
        build(recipe, tmp_path / "file" / "out")
