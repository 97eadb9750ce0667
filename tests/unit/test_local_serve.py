"""The command line of scripts/serve, as far as it goes without starting a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from servelens.local.errors import BadConfig
from servelens.local.model import Model
from servelens.local.ports import LOOPBACK
from servelens.local.serve import main


@pytest.fixture
def config(root: Path) -> list[str]:
    return ["--config", str(root / "config.properties")]


@pytest.fixture(autouse=True)
def _signal_handlers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda number, handler: None)


@pytest.mark.parametrize(
    ("text", "name", "archive"),
    [("shapes.mar", "shapes", "shapes.mar"), ("slow=shapes.mar", "slow", "shapes.mar")],
)
def test_an_archive_is_served_under_its_stem_or_the_name_given(
    text: str, name: str, archive: str
) -> None:
    model = Model.parse(text, workers=2)
    assert (model.name, model.archive, model.workers) == (name, archive, 2)


@pytest.mark.parametrize("text", ["", "../shapes.mar", "a/b.mar", "a b=c.mar", "=c.mar", "/c.mar"])
def test_what_names_no_archive_of_the_store_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="names no model"):
        Model.parse(text)


def test_a_missing_store_is_named(
    tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*config, "--store", str(tmp_path / "nowhere"), "--models", "a.mar"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"The model store {tmp_path / 'nowhere'} is no folder" in said.err


def test_an_empty_store_says_to_build(
    tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*config, "--store", str(tmp_path)]) == 1
    assert "has no archive; build one" in capsys.readouterr().err


def test_a_missing_archive_is_named_with_those_that_are_there(
    tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shapes.mar").touch()
    assert main([*config, "--store", str(tmp_path), "--models", "shape.mar"]) == 1
    assert "has no archive 'shape.mar'; it has shapes.mar." in capsys.readouterr().err


def test_a_taken_port_is_named(
    tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shapes.mar").touch()
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert main([*config, "--store", str(tmp_path), "--ports", f"{port},0,0"]) == 1
    assert f"Port {port} on 127.0.0.1 cannot be had" in capsys.readouterr().err


def test_ports_that_are_none_are_named(
    tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*config, "--store", str(tmp_path), "--ports", "80"]) == 1
    assert "give 3 (inference, management, metrics)" in capsys.readouterr().err


def test_no_folder_is_left_behind_by_a_server_that_could_not_start(
    tmp_path: Path, config: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shapes.mar").touch()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert main([*config, "--store", str(tmp_path), "--ports", f"{port},0,0"]) == 1
    assert list(temporary.iterdir()) == []
