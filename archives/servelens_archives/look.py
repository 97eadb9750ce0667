"""Looks at a foreign file of weights and drafts its recipe, in a process of its own.

The file may be hostile, as for open_weights, and is opened as it is there; only a draft, as JSON,
leaves this process.

    python -P -m servelens_archives.look IN REPORT [ARCHITECTURE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from servelens_archives.child import write_report
from servelens_archives.drafting import draft
from servelens_archives.errors import WeightsError
from servelens_archives.guessing import known_architectures
from servelens_archives.open_weights import BASE_ALLOWANCE, limit_memory, read_content, state_in
from servelens_archives.unpickling import PICKLES, Unusable, refuse_unsafe_torch


def main(source: Path, report: Path, architecture: str | None) -> int:
    allowance = BASE_ALLOWANCE + 4 * source.stat().st_size
    limit_memory(allowance)
    try:
        write_report(report, result=look(source, architecture, allowance))
    except Unusable as unusable:
        write_report(report, problem=str(unusable))
        return 1
    except WeightsError as error:
        write_report(report, problem=f"was not opened: {error}")
        return 1
    except MemoryError:
        write_report(report, problem=f"needs more than {allowance / 2**30:.0f} GiB to be opened")
        return 1
    return 0


def look(source: Path, architecture: str | None, allowance: int) -> dict[str, Any]:
    if source.suffix in PICKLES:
        refuse_unsafe_torch(torch.__version__)
    content = read_content(source)
    drafted = draft(source, state_in(content, allowance), architecture, content)
    return {
        "recipe": drafted.table,
        "findings": drafted.findings,
        "architectures": sorted(known_architectures()),
    }


if __name__ == "__main__":
    source, report, *more = sys.argv[1:]
    sys.exit(main(Path(source), Path(report), more[0] if more else None))
