"""What a benchmark found, as rows that a person and a machine can read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Row:
    """One line: what was measured, what was found, what was wanted."""

    what: str
    found: str
    target: str
    met: bool
    detail: str = ""


@dataclass(frozen=True)
class Report:
    name: str
    title: str
    rows: list[Row] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_markdown(self) -> str:
        lines = [
            f"### {self.title}",
            "",
            "| what | found | target | met | how |",
            "|---|---|---|---|---|",
        ]
        for row in self.rows:
            cells = (row.what, row.found, row.target, "yes" if row.met else "**no**", row.detail)
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        table = RichTable("what", "found", "target", "met", "how", title=self.title)
        for row in self.rows:
            table.add_row(row.what, row.found, row.target, "yes" if row.met else "NO", row.detail)
        console.print(table)
