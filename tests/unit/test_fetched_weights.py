"""torchvision's own weights: kept where torch keeps them, and only if their hash is right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from servelens.engine.folder.card import Card, ModelSource
from servelens_archives import weights as weights_module
from servelens_archives.errors import WeightsError
from servelens_archives.weights import (
    default_file,
    equip,
)


@pytest.fixture
def distant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, str], Path]:
    """Puts a file where the weights are fetched from; gives where they are kept."""

    def put(content: bytes, name: str) -> Path:
        (tmp_path / name).write_bytes(content)
        url = (tmp_path / name).as_uri()
        monkeypatch.setattr(weights_module, "_default_url", lambda architecture: url)
        return tmp_path / "hub" / "checkpoints" / name

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return put


RESNET = Card("r")
HASH = "f38329d2"  # of SHA-256 of the words below
WORDS = b"the weights"


def test_fetched_weights_are_kept_if_their_hash_is_that_of_their_name(
    distant: Callable[[bytes, str], Path],
) -> None:
    kept = distant(WORDS, f"net-{HASH}.pth")
    assert default_file(RESNET) == kept
    assert kept.read_bytes() == WORDS


def test_fetched_weights_of_another_hash_are_not_kept(
    distant: Callable[[bytes, str], Path],
) -> None:
    kept = distant(b"other words", f"net-{HASH}.pth")
    with pytest.raises(WeightsError) as error:
        default_file(RESNET)
    assert f'invalid hash value (expected "{HASH}", got "' in str(error.value)
    assert not list(kept.parent.iterdir())


def test_a_damaged_file_that_cannot_be_fetched_again_is_told(
    tmp_path: Path, distant: Callable[[bytes, str], Path]
) -> None:
    kept = distant(WORDS, f"net-{HASH}.pth")
    (tmp_path / kept.name).unlink()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(WORDS[:-1])
    with pytest.raises(WeightsError) as error:
        default_file(RESNET)
    assert str(error.value).startswith(
        f"the {kept.name} in {kept.parent} is damaged, for its hash is not the one in its name; "
        f"{kept.name} could not be fetched from file:"
    )
    assert f"put it into {kept.parent}, or give a local file with --weights FILE" in str(
        error.value
    )


def test_default_weights_that_cannot_be_fetched_name_the_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with pytest.raises(WeightsError) as error:
        equip(tmp_path, Card(name="r", model=ModelSource("resnet18")), "default", 0)
    message = str(error.value)
    assert message.startswith(
        "resnet18-f37072fd.pth could not be fetched from "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth: "
    )
    assert "--weights FILE" in message
    assert "--weights none" in message
    assert not list((tmp_path / "empty cache").rglob("*.p*"))


def test_default_weights_come_from_torch_hubs_cache_only_if_their_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    card = Card(name="r", model=ModelSource("resnet18"))
    content = b"weights"
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(weights_module, "_default_url", lambda _: f"https://127.0.0.1/{name}")
    (cache / name).write_bytes(content)
    assert default_file(card) == cache / name
    (cache / name).write_bytes(b"other weights")
    with pytest.raises(WeightsError, match="could not be fetched"):
        default_file(card)
