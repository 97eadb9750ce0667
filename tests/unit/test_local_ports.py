"""The ports of a server: chosen, free, taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from servelens.local.errors import BadConfig, BadPorts
from servelens.local.ports import LOOPBACK, Ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


def test_three_ports_leave_grpc_free() -> None:
    assert Ports.parse("8080,8081,8082") == Ports(8080, 8081, 8082, 0, 0)


def test_five_ports_name_every_door() -> None:
    assert Ports.parse("1,2,3,4,5") == Ports(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8080", "1 ports; give 3 .* or 5"),
        ("8080,8081,x", "'x' is no port"),
        ("8080,8081,65536", "65536 is no port"),
        ("8080,8081,-1", "-1 is no port"),
        ("8080,8081,8080", "8080 is asked for twice"),
    ],
)
def test_what_cannot_be_ports_is_named(text: str, message: str) -> None:
    with pytest.raises(BadPorts, match=message):
        Ports.parse(text)


def test_free_ports_are_five_different_ones() -> None:
    settled = astuple(Ports().settled())
    assert len(set(settled)) == 5
    assert all(port > 1024 for port in settled)


def test_a_chosen_port_is_kept() -> None:
    free = Ports().settled().inference
    assert Ports(inference=free).settled().inference == free


def test_a_port_that_another_process_has_is_named(taken: int) -> None:
    with pytest.raises(BadPorts, match=f"Port {taken} on 127.0.0.1 .*another process listens"):
        Ports(metrics=taken).settled()


def test_a_port_is_free_again_right_after_a_server_with_callers_ended() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            listener.accept()[0].close()
    assert Ports(inference=port).settled().inference == port


def test_settings_and_ports_tell_the_same() -> None:
    ports = Ports(1, 2, 3, 4, 5)
    assert Ports.of(ports.as_properties()) == ports
    assert ports.as_properties()["inference_address"] == "http://127.0.0.1:1"


def test_an_address_open_to_the_network_is_refused() -> None:
    with pytest.raises(BadConfig, match="inference_address=http://0.0.0.0:8080"):
        Ports.of({"inference_address": "http://0.0.0.0:8080"})
