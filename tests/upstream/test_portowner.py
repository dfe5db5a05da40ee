"""Whose a port is."""

from __future__ import annotations

import socket
import subprocess
import sys

from badgateway_upstream.portowner import owner_of

SERVER = (
    "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); sys.stdin.read()"
)


def test_another_process() -> None:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = owner_of(int(process.stdout.readline()))
        process.communicate("")
    assert owner is not None
    assert owner.startswith(f"pid {process.pid} (")


def test_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert owner_of(port) is None
