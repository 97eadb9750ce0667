"""Read, change and write TorchServe's ``config.properties``.

The repository's file is the only place where the settings of a server on this machine stand. A
runner reads it and overrides no more than ports, folders and what its caller asked for, so what
somebody starts by hand and what the tests start differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from servelens.local.errors import BadConfig

Properties = dict[str, str]


def read_properties(path: Path) -> Properties:
    """The ``key=value`` lines of a file; a line that is none, and no comment, is an error."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"The server's settings {path} cannot be read: {error}.") from error
    return parse_properties(text, str(path))


def parse_properties(text: str, name: str) -> Properties:
    found: Properties = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not key:
            raise BadConfig(f"{name}, line {number}: {stripped!r} is not of the form key=value.")
        if key in found:
            raise BadConfig(f"{name}, line {number}: {key!r} stands twice; keep one of the lines.")
        found[key] = value
    return found


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write what Java's own parser reads back as the same keys and values."""
    lines = (f"{key}={_escape(value)}\n" for key, value in properties.items())
    path.write_text("".join(lines), encoding="ascii")


def _escape(value: str) -> str:
    """Java reads the file as Latin-1 and takes a backslash for the start of an escape."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)
