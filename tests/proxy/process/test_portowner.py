from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway_proxy.process.portowner import PortOwner, explain, port_owner

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
TAKEN = OSError(errno.EADDRINUSE, "Address already in use")


@pytest.fixture(params=["127.0.0.1", "::1"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((request.param, 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        listener.listen()
        yield listener.getsockname()[1]


@linux
def test_finds_who_listens(port: int) -> None:
    owner = port_owner(port)
    assert owner is not None
    assert owner.pid == os.getpid()
    assert "python" in owner.command or "pytest" in owner.command


@linux
def test_says_so_in_one_line(port: int) -> None:
    text = explain("127.0.0.1", port, TAKEN)
    assert text.startswith(f"127.0.0.1:{port} is already in use by process {os.getpid()} (")
    assert "\n" not in text


@linux
def test_a_port_that_is_bound_only_is_nobodys() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert port_owner(bound.getsockname()[1]) is None


def test_without_proc_nobody_is_named(tmp_path: Path) -> None:
    assert port_owner(80, tmp_path) is None
    assert explain("::1", 80, TAKEN, tmp_path) == "[::1]:80 is already in use; stop that, or choose another port"


def test_other_reasons_are_told_as_they_are() -> None:
    text = explain("192.0.2.1", 80, OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))
    assert text == "cannot listen on 192.0.2.1:80: Cannot assign requested address"


def test_a_command_line_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    row = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1"
    (tmp_path / "net/tcp").write_text(f"header\n{row}\nshort\n")
    (tmp_path / "7/fd").mkdir(parents=True)
    (tmp_path / "7/fd/3").symlink_to("socket:[4242]")
    (tmp_path / "7/cmdline").write_bytes(b"evil\0\x1b[31m\0" + b"x" * 500 + b"\0")
    owner = port_owner(80, tmp_path)
    assert owner == PortOwner(7, "evil ?[31m " + "x" * 108 + "…")
    assert len(owner.command) == 120
