"""Whether this machine can build archives and serve them: Java, packages, free ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from servelens.cli.checks.finding import Finding
from servelens.local import LocalError, Ports
from servelens.local.java import find_java
from servelens.local.ports import LOOPBACK

NEEDED = ("torch", "torchvision", "torchserve", "torch-model-archiver")
CONNECT_S = 1.0


def check_machine(settings: Mapping[str, str], server_port: int | None) -> Iterator[Finding]:
    """`server_port` is the one at which a server answers; those beside it are its own too."""
    yield _java()
    yield _packages()
    yield _captum()
    yield _ports(settings, server_port)


def _java() -> Finding:
    try:
        java = find_java()
    except LocalError as missing:
        return Finding("Java", str(missing), "install Java 17 or newer, or run scripts/setup")
    return Finding("Java", f"{java.major}, {java.path} ({java.source})")


def _packages() -> Finding:
    versions = {name: _version(name) for name in NEEDED}
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        return Finding(
            "packages",
            f"{', '.join(missing)} not installed",
            "pip install 'servelens[server]', to build archives and to serve them here",
            optional=True,
        )
    return Finding("packages", ", ".join(f"{name} {found}" for name, found in versions.items()))


def _captum() -> Finding:
    found = _version("captum")
    if found is None:
        return Finding(
            "Captum here",
            "not installed",
            "pip install captum, where models are served that shall explain by its methods",
            optional=True,
        )
    return Finding("Captum here", found)


def _ports(settings: Mapping[str, str], server_port: int | None) -> Finding:
    try:
        ports = Ports.of(settings)
    except LocalError as error:
        return Finding("ports", str(error), "mend that line of config.properties")
    wanted = {door: port for door, port in asdict(ports).items() if port}
    taken = [f"{port} ({door})" for door, port in wanted.items() if _is_taken(port)]
    if not taken:
        return Finding("ports", f"free: {', '.join(map(str, wanted.values()))}")
    if server_port == ports.inference:
        return Finding("ports", f"in use, by the server: {', '.join(taken)}")
    return Finding(
        "ports",
        f"taken, and not by the server that is asked: {', '.join(taken)}",
        "end that process, or serve on other ports: scripts/serve --ports 0,0,0",
        optional=server_port is not None,
    )


def _is_taken(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), CONNECT_S):
            return True
    except OSError:
        return False


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
