"""What the documentation says that the code knows better: schemas and tables, written from it.

`scripts/reference` writes them, `scripts/reference --check` says what has drifted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from servelens.engine.methods import METHODS
from servelens.engine.trust import CHECKS
from servelens.protocol import KEYS, STATUS
from servelens.protocol.capability import Capability
from servelens.protocol.schema import (
    capability_schema,
    document_schema,
    problem_schema,
    request_schema,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
WORDS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    Any: "anything",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/reference", description="Write what the docs say from what the code declares."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    checking = parser.parse_args(argv).check
    stale = [path for path, text in wanted().items() if _read(path) != text]
    for path in stale:
        said = "has drifted from the code" if checking else "now says what the code says"
        print(f"{path.relative_to(ROOT)} {said}")
        if not checking:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted()[path], encoding="utf-8")
    return 1 if checking and stale else 0


def wanted() -> dict[Path, str]:
    """Every generated file, and every file with a generated part, as it should be."""
    schemas = {
        "request": request_schema(),
        "document": document_schema(),
        "problem": problem_schema(),
        "capability": capability_schema(),
    }
    files = {SCHEMAS / f"{name}.json": _json(schema) for name, schema in schemas.items()}
    tables = {
        "methods": method_table(),
        "keys": key_table(),
        "problems": problem_table(),
        "trust": trust_table(),
        "capability": capability_table(),
    }
    for path in (ROOT / "README.md", ROOT / "docs" / "protocol.md"):
        files[path] = _with_tables(_read(path), tables)
    return files


def method_table() -> str:
    return _table(
        ("method", "explains", "what the map means", "parameters", "paper"),
        (
            (
                f"`{method.name}`",
                "a layer" if method.scope == "layer" else "the input",
                method.summary,
                ", ".join(f"`{p.name}` ({json.dumps(p.default)})" for p in method.params) or "none",
                f"[{method.title}]({method.paper})",
            )
            for method in METHODS.values()
        ),
    )


def key_table() -> str:
    return _table(
        ("key", "default", "what it does"),
        (
            (
                f"`{key.name}`",
                f"`{json.dumps(key.default)}`",
                f"{key.help}; {key.shape.says()}",
            )
            for key in KEYS
        ),
    )


def trust_table() -> str:
    return _table(
        ("numbers", "from", "to", "better", "hold it against", "what it says"),
        (
            (
                f"`{number.name}`",
                f"{number.min:g}",
                "upwards" if number.max is None else f"{number.max:g}",
                number.better or "",
                number.against,
                check.summary,
            )
            for check in CHECKS
            for number in check.numbers
        ),
    )


def capability_table() -> str:
    return _table(("at", "keys", "what they say"), _parts(Capability, ""))


def _parts(kind: Any, at: str) -> Iterator[Sequence[str]]:
    """A row for the keys of one object, then those for the objects in it."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    keys = ", ".join(f"`{name}` {_words(hints[name])}" for name in names)
    yield f"`{at}`" if at else "the document", keys, " ".join(kind.__doc__.split())
    for name in names:
        for inner, many in _objects_in(hints[name]):
            yield from _parts(inner, f"{at}.{name}".lstrip(".") + "[]" * many)


def _objects_in(hint: Any, many: bool = False) -> Iterator[tuple[Any, bool]]:
    """The declared objects that a value may be, or be a list of."""
    if dataclasses.is_dataclass(hint):
        yield hint, many
    for argument in get_args(hint):
        yield from _objects_in(argument, many or get_origin(hint) is tuple)


def _words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union:
        return " or ".join(map(_words, arguments))
    if origin is tuple:
        return f"[{', '.join('…' if one is ... else _words(one) for one in arguments)}]"
    return WORDS.get(hint, "{…}")


def problem_table() -> str:
    by_code: dict[int, list[str]] = {}
    for name, code in STATUS.items():
        by_code.setdefault(code, []).append(f"`{name}`")
    return _table(
        ("status", "types"), ((str(code), ", ".join(by_code[code])) for code in sorted(by_code))
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _with_tables(text: str, tables: Mapping[str, str]) -> str:
    for name, table in tables.items():
        start = f"<!-- {name}: generated -->\n"
        before, found, rest = text.partition(start)
        if found:
            text = f"{before}{start}{table}\n{rest[rest.index('<!-- end -->') :]}"
    return text


def _json(schema: Any) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
