"""What the documentation says that the code knows better: schemas and tables, written from it.

`scripts/reference` writes them, `scripts/reference --check` says what has drifted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from servelens.engine.methods import METHODS
from servelens.engine.trust import CHECKS
from servelens.protocol import KEYS, STATUS
from servelens.protocol.schema import document_schema, problem_schema, request_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


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
    }
    files = {SCHEMAS / f"{name}.json": _json(schema) for name, schema in schemas.items()}
    tables = {
        "methods": method_table(),
        "keys": key_table(),
        "problems": problem_table(),
        "trust": trust_table(),
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
