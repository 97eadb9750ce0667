"""The command behind ``scripts/serve``: a TorchServe in the foreground.

One line goes to standard output, ``ready http://127.0.0.1:8080``, once every model answers, so that
another program can wait for it; all that is meant for people goes to standard error.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from servelens.local.errors import LocalError, StoreMissing
from servelens.local.model import Model
from servelens.local.ports import Ports
from servelens.local.properties import read_properties
from servelens.local.torchserve import TorchServe


class _AskedToEnd(BaseException):
    """SIGTERM or Ctrl-C: no error, so no Exception either."""


def main(argv: Sequence[str] | None = None) -> int:
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, _end)
    try:
        _serve(_parser().parse_args(argv))
    except _AskedToEnd:
        return 0
    except LocalError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1


def _serve(arguments: argparse.Namespace) -> NoReturn:
    ports = arguments.ports or Ports.of(read_properties(arguments.config))
    server = TorchServe(
        arguments.store,
        _models(arguments),
        config=arguments.config,
        ports=ports,
        tokens=arguments.tokens,
        work=arguments.work,
        tell=_tell,
    )
    with server:
        _tell(f"management {server.ports.url('management')}, {server.ports.url('metrics')}/metrics")
        _tell(f"gRPC on {server.ports.grpc_inference} and {server.ports.grpc_management}")
        if arguments.tokens:
            _tell(f"keys in {server.front_end.key_file}")
        print(f"ready {server.url}", flush=True)
        server.front_end.wait()


def _models(arguments: argparse.Namespace) -> list[Model]:
    names = arguments.models or sorted(path.name for path in arguments.store.glob("*.mar"))
    if not names:
        raise StoreMissing(
            f"The model store {arguments.store} has no archive; build one, or name another folder "
            "with --store."
        )
    return [
        Model.parse(
            name,
            workers=arguments.workers,
            batch_size=arguments.batch_size,
            batch_delay_ms=arguments.batch_delay,
        )
        for name in names
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/serve",
        description="Serve model archives with TorchServe on this machine, in the foreground. "
        "Prints one line, 'ready URL', when every model has a ready worker; ends on Ctrl-C.",
    )
    parser.add_argument("--config", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, required=True, help="folder with the .mar files")
    parser.add_argument(
        "--models",
        type=lambda text: [part for part in text.split(",") if part],
        metavar="A.mar,NAME=B.mar",
        help="archives to serve, each under its stem or under NAME (default: all of the store)",
    )
    parser.add_argument(
        "--ports",
        type=Ports.parse,
        metavar="8080,8081,8082",
        help="inference, management, metrics; with two more, gRPC inference and management; "
        "0 is any free port (default: those of config.properties)",
    )
    parser.add_argument("--workers", type=_positive, help="workers a model (default: its own)")
    parser.add_argument("--batch-size", type=_positive, help="default: the archive's own, else 1")
    parser.add_argument(
        "--batch-delay", type=_positive, metavar="MS", help="how long a batch waits to fill"
    )
    parser.add_argument(
        "--no-tokens", dest="tokens", action="store_false", help="ask callers for no key"
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="keep keys, logs and settings in this folder (default: a temporary one)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Once: what is cleaned up after it must not be cut short by an impatient second Ctrl-C."""
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, signal.SIG_IGN)
    raise _AskedToEnd


def _tell(progress: str) -> None:
    print(f"serve: {progress}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
