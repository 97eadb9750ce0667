"""Reading and writing config.properties, and what the repository's own says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.local.errors import BadConfig
from servelens.local.properties import parse_properties, read_properties, write_properties


def test_comments_and_blank_lines_are_no_settings() -> None:
    text = "# why\n\n! also why\n  a = 1 \nb=x=y\n"
    assert parse_properties(text, "f") == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=1\nnonsense\n", "f, line 2: 'nonsense' is not of the form key=value"),
        ("=1\n", "line 1"),
        ("a=1\na=2\n", "line 2: 'a' stands twice"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(text: str, message: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(message)):
        parse_properties(text, "f")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="nowhere.properties"):
        read_properties(tmp_path / "nowhere.properties")


def java_reads(line: str) -> str:
    """What java.util.Properties makes of a value: escapes undone, UTF-16 units joined."""
    value = line.partition("=")[2]
    units = re.sub(
        r"\\u([0-9a-f]{4})|\\(.)",
        lambda found: chr(int(found[1], 16)) if found[1] else found[2],
        value,
    )
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


@given(st.text(st.characters(exclude_categories=["Cs"])).map(str.strip))
def test_java_reads_back_every_value(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("properties") / "c.properties"
    write_properties(path, {"key": value})
    lines = path.read_bytes().decode("latin-1").split("\n")
    assert lines[1:] == [""]
    assert java_reads(lines[0]) == value


@pytest.fixture
def shipped(root: Path) -> Path:
    return root / "config.properties"


def test_the_shipped_settings_open_loopback_doors_only(shipped: Path) -> None:
    addresses = {
        key: value for key, value in read_properties(shipped).items() if key.endswith("_address")
    }
    assert len(addresses) == 5
    assert all("127.0.0.1" in value for value in addresses.values())


def test_the_shipped_settings_ask_for_keys_and_let_models_be_registered(shipped: Path) -> None:
    settings = read_properties(shipped)
    assert settings["disable_token_authorization"] == "false"
    assert settings["enable_model_api"] == "true"


def test_every_shipped_setting_says_why(shipped: Path) -> None:
    """A comment stands directly above each key, or above the keys that it is about."""
    lines = shipped.read_text().splitlines()
    unexplained = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if line and line[0] != "#" and (not above.strip() or above.startswith("# ---"))
    ]
    assert unexplained == []
