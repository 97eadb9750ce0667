"""Where a server's tokens come from, and what is refused as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from servelens.client import KeyFile, NoKey, NoKeys, Tokens, keys_from_environment
from servelens.client.keys import HALF_WRITTEN_S


def key_file(folder: Path, **keys: object) -> Path:
    path = folder / "key_file.json"
    path.write_text(json.dumps({door: {"key": key} for door, key in keys.items()}))
    return path


def test_a_rotated_key_is_read_anew_at_every_call(tmp_path: Path) -> None:
    keys = KeyFile(str(key_file(tmp_path, inference="old")))
    assert keys.headers("inference") == {"Authorization": "Bearer old"}
    key_file(tmp_path, inference="new")
    assert keys.headers("inference") == {"Authorization": "Bearer new"}


@pytest.mark.parametrize("half", ["", '{"inference": {"key": "ne'])
def test_a_key_file_that_is_just_being_written_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    path = key_file(tmp_path, inference="old")
    path.write_text(half)
    waited: list[float] = []

    def finish(seconds: float) -> None:
        waited.append(seconds)
        key_file(tmp_path, inference="new")

    monkeypatch.setattr("servelens.client.keys.time.sleep", finish)
    assert KeyFile(path).headers("inference") == {"Authorization": "Bearer new"}
    assert waited == [HALF_WRITTEN_S]


@pytest.mark.parametrize(
    "content",
    [
        None, b"", b"{}", b"[]", b"7", b'{"inference": "abc"}', b'{"inference": {}}', b"\xff",
        b"[" * 9**5,
    ],
)  # fmt: skip
def test_a_key_file_without_the_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key_file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NoKey, match="there is no inference key in .*key_file.json"):
        KeyFile(path).headers("inference")


@pytest.mark.parametrize("key", [None, 7, "a b", "a\r\nX-Evil: 1", "ä", "\x00", ""])
def test_what_could_be_no_token_never_becomes_a_header(tmp_path: Path, key: object) -> None:
    with pytest.raises(NoKey, match="is none"):
        KeyFile(key_file(tmp_path, inference=key)).headers("inference")


def test_a_door_whose_token_is_not_known_is_asked_without() -> None:
    keys = Tokens({"inference": "abc"})
    assert keys.headers("inference") == {"Authorization": "Bearer abc"}
    assert keys.headers("management") == {}


def test_the_environments_key_file_goes_before_its_tokens(tmp_path: Path) -> None:
    path = key_file(tmp_path, inference="of-the-file")
    environ = {"SERVELENS_KEY_FILE": str(path), "SERVELENS_INFERENCE_KEY": "of-the-variable"}
    assert keys_from_environment(environ).headers("inference") == {
        "Authorization": "Bearer of-the-file"
    }
    del environ["SERVELENS_KEY_FILE"]
    assert keys_from_environment(environ).headers("inference") == {
        "Authorization": "Bearer of-the-variable"
    }


@pytest.mark.parametrize("environ", [{}, {"SERVELENS_KEY_FILE": "", "SERVELENS_INFERENCE_KEY": ""}])
def test_an_environment_without_keys_has_none(environ: dict[str, str]) -> None:
    assert isinstance(keys_from_environment(environ), NoKeys)


def test_a_bad_token_of_the_environment_is_called_by_its_variable() -> None:
    keys = keys_from_environment({"SERVELENS_MANAGEMENT_KEY": "a b"})
    with pytest.raises(NoKey, match="SERVELENS_MANAGEMENT_KEY"):
        keys.headers("management")


@pytest.mark.parametrize(
    ("told", "run_out"),
    [
        ({"expiration time": "2020-01-01T00:00:00.054050562Z"}, True),
        ({"expiration time": "2999-01-01T00:00:00Z"}, False),
        ({"expiration time": "soon"}, False),
        ({}, False),
    ],
)
def test_the_file_says_when_a_key_runs_out(
    tmp_path: Path, told: dict[str, str], run_out: bool
) -> None:
    path = tmp_path / "key_file.json"
    path.write_text(json.dumps({"inference": {"key": "k", **told}}))
    assert KeyFile(path).has_run_out("inference") == run_out
    assert not KeyFile(path).has_run_out("management")
    assert not KeyFile(tmp_path / "nowhere").has_run_out("inference")
