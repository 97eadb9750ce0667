"""Every command of `servelens` against a real TorchServe, as a person's shell runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lens_caller import Lens
from lens_fixtures import LABELS, MODELS, TINY
from lens_pictures import photo, plain

from servelens import codec
from servelens.local import TorchServe

SERVELENS = Path(sys.executable).with_name("servelens")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(lens: Lens, tmp_path: Path) -> Run:
    """In a folder with cat.png and dog.png, with a server that the environment names."""
    (tmp_path / "cat.png").write_bytes(photo())
    (tmp_path / "dog.png").write_bytes(plain("white"))
    return runner(lens.server, tmp_path)


def runner(server: TorchServe, folder: Path, **environ: str) -> Run:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SERVELENS_")}
    known = {
        "SERVELENS_URL": server.url,
        "SERVELENS_MANAGEMENT_URL": str(server.client.management),
        "SERVELENS_KEY_FILE": str(server.key_file),
        "COLUMNS": "160",
    }

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [SERVELENS, *words],
            cwd=folder,
            env={**ours, **known, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_models(run: Run) -> None:
    rows = lines(run("models", "--json"))
    assert [row["model"] for row in rows] == sorted(MODELS)
    assert all(row["ready"] == row["workers"] == 1 for row in rows)
    table = run("models").stdout
    assert all(name in table for name in MODELS)
    assert "1 of 1" in table


def test_predict(run: Run, lens: Lens) -> None:
    (row,) = lines(run("predict", "cat.png", "--model", "tiny", "--top-k", "3", "--json"))
    told = {p["label"]: p["probability"] for p in row["document"]["predictions"]}
    stock = lens.bare(photo(), "stock")
    assert told == {label: pytest.approx(stock[label], abs=1e-5) for label in list(stock)[:3]}
    table = run("predict", "cat.png", "--model", "tiny").stdout
    assert f"{max(stock.values()):.2%}" in table
    assert "cat.png by tiny 1.0" in table


def test_explain_and_keep(run: Run, lens: Lens, tmp_path: Path) -> None:
    words = ("--method", "grad_cam", "--method", "saliency", "--target", "star", "--out", "out")
    done = run("explain", "cat.png", "dog.png", *words, "--model", "tiny", "--json")
    for row, image in zip(lines(done), (photo(), plain("white")), strict=True):
        folder = tmp_path / row["saved"]
        saved = codec.read_npz((folder / "tensors.npz").read_bytes())["answer"]["attributions"]
        direct = lens.server.client.explain(
            "tiny", image, ["grad_cam", "saliency"], target=["star"]
        ).attributions
        for ours, theirs in zip(saved, direct, strict=True):
            np.testing.assert_allclose(ours["map"], theirs.to_numpy(), rtol=1e-3, atol=1e-6)
        assert row["document"]["attributions"][0]["target"]["label"] == "star"
        assert len(list(folder.glob("*.png"))) == 3
    table = run("explain", "cat.png", "-m", "tiny", "--method", "grad_cam", "-l", "stem").stdout
    assert "grad_cam at stem for" in table


def test_activations(run: Run) -> None:
    words = ("activations", "cat.png", "--model", "tiny", "--layer", "stem")
    (row,) = lines(run(*words, "--channels", "[5, 2]", "--json"))
    (entry,) = codec.read_json(json.dumps(row["document"]).encode())["activations"]
    assert [channel["index"] for channel in entry["channels"]] == [5, 2]
    assert entry["maps"].shape == (2, 112, 112)
    table = run(*words).stdout
    assert "8 × 112 × 112" in table
    assert "of 8" in table


def test_layers(run: Run, lens: Lens) -> None:
    told = lines(run("layers", "block.*", "--model", "tiny", "--json"))
    known = lens.server.client.capability("tiny")["layers"]
    assert told == [layer for layer in known if layer["name"].startswith("block.")]
    table = run("layers", "--model", "tiny").stdout
    assert "stem *" in table
    wrong = run("layers", "blok", "--model", "tiny", code=2)
    assert "did you mean 'block'" in wrong.stderr


def test_register_then_ask_then_go(run: Run, lens: Lens) -> None:
    try:
        told = run("register", "tiny.mar", "--name", "guest", "--batch-size", "2").stdout
        assert told == "guest 1.0 is registered, with 1 workers ready\n"
        assert lens.server.client.describe("guest").batch_size == 2
        (row,) = lines(run("predict", "cat.png", "--model", "guest", "--json"))
        assert row["document"]["model"]["name"] == "tiny"
        again = run("register", "tiny.mar", "--name", "guest", code=4)
        assert "already registered" in again.stderr
    finally:
        lens.server.client.unregister("guest")
    assert "not found" in run("register", "nowhere.mar", code=4).stderr


def test_build_makes_an_archive_that_the_command_can_check(
    run: Run, tmp_path: Path, root: Path, lens_store: Path
) -> None:
    recipe = TINY.replace('weights = "tiny.pt"', 'weights = "none"').replace('"tiny"', '"built"')
    (tmp_path / "built.toml").write_text(recipe)
    shutil.copy(root / "tests" / "models" / "tiny_net.py", tmp_path)
    run("build", "built.toml", "--out", "store")
    assert (tmp_path / "store" / "built.mar").stat().st_size > 0
    wrong = run("build", "nowhere.toml", "--out", "store", code=1)
    assert "nowhere.toml" in wrong.stderr


def test_the_exit_code_says_who_refused(run: Run) -> None:
    layer = run("explain", "cat.png", "-m", "tiny", "--method", "grad_cam", "-l", "blok", code=4)
    assert "did you mean 'block'" in layer.stderr
    assert "not found" in run("predict", "cat.png", "--model", "nobody", code=4).stderr
    mixed = run("predict", "cat.png", "gone.png", "--model", "tiny", code=1)
    assert "gone.png cannot be read" in mixed.stderr
    assert LABELS[0] in mixed.stdout or "logit" in mixed.stdout
    assert "say which model with --model" in run("predict", "cat.png", code=2).stderr


def test_without_the_key_nothing_is_answered(lens: Lens, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(photo())
    keyless = runner(lens.server, tmp_path, SERVELENS_KEY_FILE="", SERVELENS_MODEL="tiny")
    assert "refused" in keyless("predict", "cat.png", code=4).stderr
    lost = runner(lens.server, tmp_path, SERVELENS_KEY_FILE="gone.json", SERVELENS_MODEL="tiny")
    assert "no inference key in gone.json" in lost("predict", "cat.png", code=3).stderr


def finding(done: subprocess.CompletedProcess[str], name: str) -> dict[str, Any]:
    (found,) = [line for line in lines(done) if line["name"].startswith(name)]
    return found


@pytest.fixture
def config(lens: Lens, tmp_path: Path) -> str:
    """The settings that the server itself was started with."""
    there = lens.server.front_end.work / "config.properties"
    shutil.copy(there, tmp_path / "config.properties")
    return str(tmp_path / "config.properties")


def test_doctor_finds_a_server_well(run: Run, config: str) -> None:
    done = run("doctor", "--json", "--config", config)
    assert finding(done, "server")["saw"] == "Healthy"
    assert finding(done, "key file")["mend"] is None
    assert "in use, by the server" in finding(done, "ports")["saw"]
    assert "Captum there" in finding(done, "model tiny")["saw"]
    stock = finding(done, "model stock")
    assert (stock["optional"], stock["is_problem"]) == (True, False)
    assert "WRONG" not in run("doctor", "--config", config).stdout


def test_doctor_does_not_take_anothers_ports_for_the_servers(
    run: Run, lens: Lens, tmp_path: Path
) -> None:
    metrics = lens.server.ports.url("metrics")
    (tmp_path / "other.properties").write_text(f"inference_address={metrics}\n")
    found = finding(run("doctor", "--json", "--config", "other.properties"), "ports")
    assert "not by the server that is asked" in found["saw"]
    assert (found["optional"], found["is_problem"]) == (True, False)


def test_doctor_finds_a_key_file_that_others_may_read(
    run: Run, lens: Lens, config: str, tmp_path: Path
) -> None:
    copy = tmp_path / "keys.json"
    shutil.copy(lens.server.key_file or "", copy)
    copy.chmod(0o644)
    done = run("doctor", "--json", "--config", config, "--keys", str(copy), code=1)
    assert "mode 644" in finding(done, "key file")["saw"]
    assert str(copy) in finding(done, "key file")["mend"]


def test_doctor_finds_a_wrong_key(lens: Lens, config: str, tmp_path: Path) -> None:
    wrong = runner(
        lens.server,
        tmp_path,
        SERVELENS_KEY_FILE="",
        SERVELENS_INFERENCE_KEY="wrong",
        SERVELENS_MANAGEMENT_KEY="wrong",
    )
    done = wrong("doctor", "--json", "--config", config, code=1)
    problems = [line for line in lines(done) if line["is_problem"]]
    assert problems
    assert all("--keys" in line["mend"] for line in problems)


def test_doctor_finds_a_response_limit_that_would_kill_a_worker(
    run: Run, config: str, tmp_path: Path
) -> None:
    small = tmp_path / "small.properties"
    text = Path(config).read_text().replace("max_response_size=", "max_response_size=1000\n#")
    small.write_text(text)
    done = run("doctor", "--json", "--config", str(small), code=1)
    assert "kills the worker: raise max_response_size" in finding(done, "model tiny")["mend"]


def test_doctor_finds_a_model_without_a_worker(run: Run, lens: Lens, config: str) -> None:
    client = lens.server.client
    client.register("tiny.mar", "idle", workers=0)
    try:
        done = run("doctor", "--json", "--config", config, code=1)
        assert finding(done, "model idle")["saw"] == "no worker is ready (workers: none)"
        assert "model_log.log" in finding(done, "model idle")["mend"]
    finally:
        client.unregister("idle")
