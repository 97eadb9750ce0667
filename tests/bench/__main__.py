"""The command behind scripts/bench."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console
from tests.bench.setting import Missing, Setting

BENCHMARKS = (
    "predict_vs_stock",
    "grad_cam_http",
    "grad_cam_peers",
    "cam_sharing",
    "one_call",
    "stock_explanations",
    "occlusion",
    "methods",
    "endurance",
    "load",
    "dashboard",
    "stopping",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    console = Console(stderr=True)
    reports, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="servelens-bench-") as scratch:
        setting = Setting(arguments.device, Path(scratch), arguments.scale)
        for name in arguments.names or BENCHMARKS:
            try:
                with console.status(f"running {name}"):
                    report = _module(name).run(setting)
            except Missing as missing:
                console.print(f"{name} is left out: {missing}", soft_wrap=True)
                left_out.append(name)
                continue
            report.show(console)
            reports.append(report)
    print(f"{_machine()}; device {arguments.device}\n")
    print("\n".join(report.to_markdown() for report in reports))
    if arguments.json:
        found = {"machine": _machine(), "reports": [report.to_dict() for report in reports]}
        arguments.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    # Whoever asked for it by name wants it; where all were meant, the others still count.
    wanted = set(arguments.names) & set(left_out)
    return 0 if not wanted and all(row.met for report in reports for row in report.rows) else 1


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tests.bench.{name}")


def _machine() -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {versions}"


def _writable(text: str) -> Path:
    """Tried before anything is measured, which may take half an hour; what is there stays."""
    path = Path(text)
    is_new = not path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text} cannot be written ({error.strerror}); name a file in a folder that is there"
        ) from error
    if is_new:
        path.unlink()
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure ServeLens against what it is compared with; exits 1 on a miss.",
        epilog="benchmarks, all of them where none is named: " + ", ".join(BENCHMARKS),
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", type=_writable, metavar="FILE", help="write the figures here too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer runs than usual")
    return parser


if __name__ == "__main__":
    sys.exit(main())
