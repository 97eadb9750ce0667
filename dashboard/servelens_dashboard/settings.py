"""What the dashboard is started with; nothing of it changes while it runs."""

from __future__ import annotations

import argparse
import ipaddress
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servelens.client.keys import KEY_FILE_VARIABLE

PASSWORD_VARIABLE = "SERVELENS_DASHBOARD_PASSWORD"  # noqa: S105 - its name alone
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000


class BadSettings(Exception):
    """A sentence for whoever started it."""


@dataclass(frozen=True)
class Settings:
    inference: str = "http://127.0.0.1:8080"
    management: str = "http://127.0.0.1:8081"
    # TorchServe's key_file.json; without it, what the environment says.
    keys: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8050
    # By which names a browser may call us, beside those of loopback.
    hosts: tuple[str, ...] = ()
    password: str | None = None
    samples: Path | None = None
    # The server's own folders, where they are on this machine: what can be registered, and why a
    # worker did not start.
    store: Path | None = None
    logs: Path | None = None
    photos: Path = Path(tempfile.gettempdir()) / "servelens-photos"
    photo_bytes: int = 20 * MEGABYTE
    shelf_bytes: int = 256 * MEGABYTE
    # Files of weights, archives and recipes that are dropped: where they lie, how large each may be
    # and all of them; which Python builds archives of them, and recipes that can be built as well.
    files: Path = Path(tempfile.gettempdir()) / "servelens-files"
    file_bytes: int = 2 * GIGABYTE
    drawer_bytes: int = 8 * GIGABYTE
    builder: Path | None = None
    recipes: Path | None = None
    # TorchServe's third door; what it measures of itself.
    metrics: str = "http://127.0.0.1:8082"
    answer_bytes: int = 256 * MEGABYTE
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if self.password == "":
            raise BadSettings(
                f"The password in {PASSWORD_VARIABLE} is empty, which would let everybody in: set "
                "one, or unset the variable."
            )
        if not is_loopback(self.host) and self.password is None:
            raise BadSettings(
                f"{self.host} can be reached from other machines, and whoever reaches it there "
                f"can register models: set a password in {PASSWORD_VARIABLE}, or take 127.0.0.1."
            )
        folders = {
            "samples": self.samples,
            "store": self.store,
            "logs": self.logs,
            "recipes": self.recipes,
        }
        for name, folder in folders.items():
            if folder is not None and not folder.is_dir():
                raise BadSettings(f"{folder}, given as --{name}, is no folder.")
        for name, folder in (("photos", self.photos), ("files", self.files)):
            if folder == getattr(Settings, name) and not _is_ours(folder):
                raise BadSettings(
                    f"{folder}, where {name} are kept, belongs to somebody else, who could put "
                    f"others there; give another folder with --{name}."
                )

    @property
    def known_hosts(self) -> frozenset[str]:
        return frozenset({*LOOPBACK_NAMES, *self.hosts})


def _is_ours(folder: Path) -> bool:
    """Among temporary files anybody may have made one of this name before us, or a link."""
    if not os.path.lexists(folder) or not hasattr(os, "getuid"):
        return True
    return folder.lstat().st_uid == os.getuid()


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_settings(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    environ = os.environ if environ is None else environ
    parsed = vars(_parser().parse_args(argv))
    given = {name: value for name, value in parsed.items() if value is not None}
    given["hosts"] = tuple(given.get("hosts", ()))
    if key_file := environ.get(KEY_FILE_VARIABLE):
        given.setdefault("keys", Path(key_file))
    if "file_bytes" in given:
        given["drawer_bytes"] = max(Settings.drawer_bytes, given["file_bytes"])
    return Settings(**given, password=environ.get(PASSWORD_VARIABLE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="servelens-dashboard",
        description="See inside the models of a running TorchServe, in a browser. Prints one line, "
        "'ready URL', once it answers; ends on Ctrl-C.",
        epilog=f"{PASSWORD_VARIABLE} in the environment is asked of every browser, under any name.",
    )
    parser.add_argument("--inference", metavar="URL", help=f"default: {Settings.inference}")
    parser.add_argument("--management", metavar="URL", help=f"default: {Settings.management}")
    parser.add_argument(
        "--keys",
        type=Path,
        help=f"the server's key_file.json; default: what {KEY_FILE_VARIABLE} names",
    )
    parser.add_argument("--host", help=f"default: {Settings.host}")
    parser.add_argument("--port", type=int, help=f"0 is any free one; default: {Settings.port}")
    parser.add_argument(
        "--allow-host",
        dest="hosts",
        action="append",
        metavar="NAME",
        help="a name, without port, by which browsers may call the dashboard; repeatable",
    )
    parser.add_argument("--store", type=Path, help="the server's model store, on this machine")
    parser.add_argument("--logs", type=Path, help="the server's folder of logs, on this machine")
    parser.add_argument("--samples", type=Path, help="folder of photos to offer")
    parser.add_argument("--photos", type=Path, help=f"where photos lie; default: {Settings.photos}")
    parser.add_argument("--files", type=Path, help=f"dropped files; default: {Settings.files}")
    parser.add_argument(
        "--file-gigabytes",
        dest="file_bytes",
        type=_gigabytes,
        metavar="N",
        help=f"the most that a dropped file may have; default: {Settings.file_bytes // GIGABYTE}",
    )
    parser.add_argument(
        "--builder", type=Path, help="a Python with servelens[server]; default: this one"
    )
    parser.add_argument("--recipes", type=Path, help="folder of recipes that can be built")
    parser.add_argument("--metrics", metavar="URL", help=f"default: {Settings.metrics}")
    return parser


def _gigabytes(text: str) -> int:
    size = float(text) * GIGABYTE
    if not MEGABYTE <= size <= 1000 * GIGABYTE:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.001 to 1000")
    return int(size)
