"""What commands print: tables for people, JSON lines for programs, both on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """One value a line, so that a program can read while we still ask."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    sys.stdout.write(harmless(text) + "\n")
    sys.stdout.flush()


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(str(cell))) for cell in row))
    if title:
        print_line(title)
    Console().print(table)


def harmless(text: str) -> str:
    """A label from a server may hold what a terminal takes for commands."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
