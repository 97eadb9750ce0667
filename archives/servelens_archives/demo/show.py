"""The command behind scripts/demo: two models that tell shapes apart, one of which cheats.

It builds both archives, starts TorchServe and the dashboard with them and says what to open and to
try; with --check it makes the calls itself and judges what it saw.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import requests
from rich.console import Console

from servelens.client.keys import INFERENCE, KEY_FILE_VARIABLE, KEY_VARIABLES
from servelens.local import Dashboard, LocalError, Model, Ports, TorchServe
from servelens.local.errors import BadPorts
from servelens.local.properties import read_properties
from servelens_archives.builder import build
from servelens_archives.demo.verdict import judge
from servelens_archives.errors import BuildError
from servelens_archives.recipe import load_recipe
from servelens_archives.shipped import RECIPES

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "config.properties"
STORE = ROOT / "archives" / "store"
SAMPLES = ROOT / "archives" / "demo" / "samples"
SAMPLE = SAMPLES / "disc-marked.png"
MODELS = ("shapes-shortcut", "shapes-clean")
# What goes into an archive: when any of it is newer than the archive, the archive is built again.
SOURCES = ("handlers", "archives/servelens_archives", "archives/recipes", "archives/demo")

PAGE_PATIENCE_S = 30

console = Console(stderr=True, highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        build_archives()
        return check() if arguments.check else serve()
    except (LocalError, BuildError) as error:
        console.print(f"demo: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 0


def build_archives() -> None:
    newest = max(path.stat().st_mtime for path in _sources())
    for name in MODELS:
        archive = STORE / f"{name}.mar"
        if not archive.exists() or archive.stat().st_mtime < newest:
            _build(name)


def _build(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    with console.status(f"building {name}") as status:
        archive = build(
            recipe, STORE, report=lambda text: status.update(f"building {name}: {text}")
        )
    console.print(f"built {archive.relative_to(ROOT)}")


def serve() -> NoReturn:
    with _started(_wanted_ports()) as running, _dashboard(running) as dashboard:
        print(_what_to_try(running, dashboard), flush=True)
        running.front_end.wait()


def check() -> int:
    with _started(Ports()) as running:
        verdict = judge(running.client, "shapes-shortcut", "shapes-clean", tell=console.print)
        with _dashboard(running) as dashboard:
            shown = _answers(dashboard)
    print("\n".join((*verdict.lines, f"{'ok  ' if shown else 'FAIL'}  the dashboard answers")))
    return 0 if verdict.passed and shown else 1


def _answers(dashboard: Dashboard) -> bool:
    answer = requests.get(dashboard.url, timeout=PAGE_PATIENCE_S)
    return answer.ok and "ServeLens" in answer.text


def _started(ports: Ports) -> TorchServe:
    models = [Model(f"{name}.mar", name, workers=1) for name in MODELS]
    return TorchServe(STORE, models, config=CONFIG, ports=ports, tell=console.print)


@contextmanager
def _dashboard(running: TorchServe) -> Iterator[Dashboard]:
    console.print("starting the dashboard")
    with (
        tempfile.TemporaryDirectory(prefix="dashboard-") as work,
        Dashboard(running, Path(work), samples=SAMPLES, recipes=RECIPES) as dashboard,
    ):
        yield dashboard


def _wanted_ports() -> Ports:
    """Those of config.properties, unless another server has them."""
    try:
        return Ports.of(read_properties(CONFIG)).settled()
    except BadPorts as taken:
        console.print(f"{taken} Free ones are taken instead.", markup=False)
        return Ports()


def _what_to_try(running: TorchServe, dashboard: Dashboard) -> str:
    sample = SAMPLE.relative_to(ROOT)
    curl = f"curl -H 'Authorization: {running.authorization()['Authorization']}'"
    ask = f"{curl} -F data=@{sample} -F explain=grad_cam {running.url}/predictions"
    return "\n".join(
        (
            f"Serving {' and '.join(MODELS)} on {running.url}; Ctrl-C ends it.",
            "",
            f"Open this in a browser:  {dashboard.url}",
            "",
            "A prediction, as TorchServe has always given it:",
            f"  {curl} -T {sample} {running.url}/predictions/shapes-clean",
            "",
            "The same with where the evidence lies; then the same of the model that cheats:",
            f"  {ask}/shapes-clean",
            f"  {ask}/shapes-shortcut",
            "",
            "What may be asked:",
            f"  {curl} -F describe=true {running.url}/predictions/shapes-clean",
            "",
            "In another terminal these lines make ready for all that the README shows:",
            *(f"  {line}" for line in _made_ready(running)),
        )
    )


def _made_ready(running: TorchServe) -> Iterator[str]:
    """Lines for a shell, after which `servelens`, Python and curl find the server and its keys."""
    yield f"cd {shlex.quote(str(ROOT))}"
    yield "source .venv/bin/activate"
    known = {
        "SERVELENS_URL": running.url,
        "SERVELENS_MANAGEMENT_URL": running.ports.url("management"),
        KEY_FILE_VARIABLE: str(running.key_file),
        KEY_VARIABLES[INFERENCE]: running.authorization()["Authorization"].split()[-1],
    }
    for name, value in known.items():
        yield f"export {name}={shlex.quote(value)}"


def _sources() -> Iterable[Path]:
    for source in SOURCES:
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Serve two demo models, one of which cheats."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="on free ports: make the calls, print what was seen, exit 0 or 1",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
