"""Addresses are held for processes that do not run yet, and a taken one says whose it is."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.processes.ports import Ports, Reservations, owner_of


@pytest.fixture
def reserved() -> Reservations:
    return Reservations()


def test_a_reserved_port_refuses_connections_until_its_process_listens(reserved: Reservations) -> None:
    port = reserved.take()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for _ in range(2):  # a process, and its next life
        with (
            closing(socket.create_server(("127.0.0.1", port))) as server,
            closing(socket.create_connection(("127.0.0.1", port))),
            closing(server.accept()[0]),
        ):
            assert owner_of(port) is not None
    reserved.close()


def test_nobody_else_is_given_a_reserved_port(reserved: Reservations) -> None:
    port = reserved.take()
    for _ in range(2000):
        with closing(socket.socket()) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[1] != port
    reserved.close()


def test_a_port_in_use_says_whose_it_is_and_what_to_do(reserved: Reservations) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        comm = owner_of(port)
        assert comm is not None
        assert comm[0] == os.getpid()
        message = f"127.0.0.1:{port} is in use by pid {comm[0]} ({comm[1]}); stop it or choose another with --lb-port"
        with pytest.raises(EnvironmentProblem) as caught:
            reserved.take(port, option="--lb-port")
        assert str(caught.value) == message
    reserved.close()


def test_a_port_on_all_addresses_counts_as_in_use(reserved: Reservations) -> None:
    with (
        closing(socket.create_server(("0.0.0.0", 0))) as server,
        pytest.raises(EnvironmentProblem, match="is in use by pid"),
    ):
        reserved.take(server.getsockname()[1])
    reserved.close()


def test_an_address_that_is_not_this_machines_is_refused_with_the_reason() -> None:
    with pytest.raises(EnvironmentProblem, match=r"cannot listen on 192\.0\.2\.1:8080: .*; choose another with --x"):
        Reservations("192.0.2.1").take(8080, option="--x")


def test_a_udp_port_is_held_for_a_process_of_ours() -> None:
    reserved = Reservations()
    try:
        port = reserved.take_udp()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ours.bind(("127.0.0.1", port))
            ours.settimeout(5)
            for _ in range(3):
                client.sendto(b"question", ("127.0.0.1", port))
                assert ours.recv(100) == b"question"
    finally:
        reserved.close()


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        (Ports(), None),
        (Ports(0, 0, 0, 0), None),
        (Ports(cdn=8081), "--cdn-port and --lb-port both ask for port 8081"),
        (
            Ports(control=9002),
            "--control-port and --app-port both ask for port 9002",
        ),
        (Ports(control=9003), None),
    ],
)
def test_no_port_is_wanted_twice(ports: Ports, words: str | None) -> None:
    told = ports.wanted_twice(2)
    assert told == (None if words is None else f"{words}; each process needs one of its own")
