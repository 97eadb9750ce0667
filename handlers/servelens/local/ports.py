"""The five ports of a TorchServe, chosen by a person or free ones.

All are on loopback. Two servers on one machine must share none of them, the gRPC pair included,
which TorchServe opens whether or not anybody uses it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from urllib.parse import urlsplit

from servelens.local.errors import BadConfig, BadPorts

LOOPBACK = "127.0.0.1"
HTTP_DOORS = ("inference", "management", "metrics")
GRPC_DOORS = ("grpc_inference", "grpc_management")


@dataclass(frozen=True)
class Ports:
    """One port a door; 0 means any free one until ``settled`` has found it."""

    inference: int = 0
    management: int = 0
    metrics: int = 0
    grpc_inference: int = 0
    grpc_management: int = 0

    def __post_init__(self) -> None:
        chosen = [port for port in asdict(self).values() if port]
        for port in chosen:
            if not 1 <= port <= 65535:
                raise BadPorts(f"{port} is no port; take 1 to 65535, or 0 for any free one.")
        for port in chosen:
            if chosen.count(port) > 1:
                raise BadPorts(f"Port {port} is asked for twice; every door needs one of its own.")

    @classmethod
    def parse(cls, text: str) -> Ports:
        """Read ``8080,8081,8082``, or all five; doors that are not named get free ports."""
        names = [field.name for field in fields(cls)]
        parts = text.split(",")
        if len(parts) not in (len(HTTP_DOORS), len(names)):
            raise BadPorts(
                f"{text!r} are {len(parts)} ports; give {len(HTTP_DOORS)} "
                f"({', '.join(HTTP_DOORS)}) or {len(names)} ({', '.join(names)})."
            )
        return cls(**dict(zip(names, map(_read_port, parts), strict=False)))

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Ports:
        """The ports that a config.properties names."""
        addresses = {door: properties.get(f"{door}_address", "") for door in HTTP_DOORS}
        numbers = {door: properties.get(f"{door}_port", "0") for door in GRPC_DOORS}
        return cls(
            **{door: _port_of(f"{door}_address", value) for door, value in addresses.items()},
            **{door: _read_port(value) for door, value in numbers.items()},
        )

    def settled(self) -> Ports:
        """Every 0 replaced by a free port; a chosen port that another process has is an error."""
        chosen_first = sorted(asdict(self).items(), key=lambda item: item[1] == 0)
        with ExitStack() as held:
            taken = {
                door: held.enter_context(_bound(port)).getsockname()[1]
                for door, port in chosen_first
            }
        return Ports(**taken)

    def as_properties(self) -> dict[str, str]:
        addresses = {f"{door}_address": self.url(door) for door in HTTP_DOORS}
        hosts = {f"{door}_address": LOOPBACK for door in GRPC_DOORS}
        numbers = {f"{door}_port": str(getattr(self, door)) for door in GRPC_DOORS}
        return {**addresses, **hosts, **numbers}

    def url(self, door: str) -> str:
        return f"http://{LOOPBACK}:{getattr(self, door)}"


def _bound(port: int) -> socket.socket:
    """A socket that holds the port; a chosen one may have connections of a past server linger."""
    door = socket.socket()
    try:
        if port:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((LOOPBACK, port))
        if port:
            door.listen()
    except OSError as error:
        door.close()
        reason = (
            "another process listens there" if error.errno == errno.EADDRINUSE else error.strerror
        )
        raise BadPorts(
            f"Port {port} on {LOOPBACK} cannot be had: {reason}. End that process, or name "
            "other ports; 0 takes any free one."
        ) from error
    return door


def _read_port(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadPorts(f"{text!r} is no port; take 1 to 65535, or 0 for any free one.") from None


def _port_of(key: str, address: str) -> int:
    """The port of ``http://127.0.0.1:8080``; any other host would show models to the network."""
    parts = urlsplit(address)
    if not address:
        return 0
    if parts.hostname != LOOPBACK or parts.port is None:
        raise BadConfig(f"{key}={address} is not of the form http://{LOOPBACK}:PORT.")
    return parts.port
