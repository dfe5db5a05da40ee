"""The command line, as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.instance import spawned


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "badgateway_upstream", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_help_and_faults() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "--backend" in done.stdout
    assert "Exit status" in done.stdout
    assert "keepalive_race" in run("--list-faults").stdout


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--fault", "{kind: latensy}"], ["--fault 1.kind: unknown fault 'latensy'; did you mean 'latency'?"]),
        (
            ["--fault", "{kind: hang, fro: 1s}", "--boot-delay", "3", "--name", "a b"],
            ["--fault 1.fro: unknown attribute", "--boot-delay: a duration needs a unit", "--name: "],
        ),
        (["--fault", "{kind: hang"], ["--fault 1: is no YAML"]),
        (["--fault", "hang"], ["--fault 1: must be a mapping"]),
        (["--faults", "/nowhere.yaml"], ["--faults /nowhere.yaml: "]),
        (["--backend", "ftp://x"], ["--backend: must be an http:// URL"]),
        (["--listen", "example.com:80"], ["--listen: must be an IP address"]),
    ],
)
def test_wrong_options_are_told_all_at_once(options: list[str], lines: list[str]) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for line in lines:
        assert f"badgateway_upstream: {line}" in done.stderr


def test_a_fault_longer_than_the_cap_is_refused_before_anything_starts() -> None:
    done = run("--max-fault-duration", "5s", "--fault", "{kind: hang, for: 6s}")
    assert done.returncode == 2
    assert "lasts longer than max_fault_duration (5s)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_that_cannot_be_set_is_told() -> None:
    done = run("--listen", "127.0.0.1:0", "--fault", "{kind: script, steps: [{send: {file: x}}]}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "faults: this instance sends no files" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_says_whose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        holder = subprocess.Popen(["sleep", "30"], pass_fds=[taken.fileno()])
        try:
            done = run("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        finally:
            holder.kill()
            holder.wait()
    assert done.returncode == 3
    line = done.stderr.splitlines()[-1]
    assert "is in use by pid" in line
    assert "Traceback" not in done.stderr


async def test_faults_from_options_and_files_act(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "- kind: script\n  when: {path: /mine}\n  steps:\n"
        "    - send: 'HTTP/1.1 299 On\\r\\nContent-Length: 0\\r\\n\\r\\n'\n"
        "- {kind: hang, when: {path: /hang}}\n"
    )
    async with spawned("--faults", str(file), "--fault", '{"kind": "bad_header", "when": {"path": "/"}}') as app:
        async with app.client() as client:
            await client.get("/mine")
            assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 299 On\r\nContent-Length: 0\r\n\r\n"
        assert [fault["kind"] for fault in (await app.api("GET", "/faults"))[1]] == ["bad_header", "script", "hang"]
        assert (await app.event())["kind"] == "script"


async def test_the_ready_line_and_an_orderly_end() -> None:
    async with spawned("--name", "app-7") as app:
        ready: dict[str, Any] = app.ready
        assert ready["event"] == "ready"
        assert ready["name"] == "app-7"
        assert ready["pid"] == app.pid
        async with app.client() as client:
            await client.get("/bytes/10000000")
            await client.until(b"\r\n\r\n")
            app.process.send_signal(signal.SIGTERM)
            await client.all()
            # A request that is being answered is finished.
            assert len(client.data.partition(b"\r\n\r\n")[2]) == 10_000_000
        assert await app.exited() == 0


async def test_it_ends_with_its_stdin() -> None:
    async with spawned("--exit-with-stdin", stdin=subprocess.PIPE) as app:
        assert app.process.stdin is not None
        app.process.stdin.close()
        assert await app.exited() == 0


async def test_it_ends_with_its_stdin_while_booting() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "badgateway_upstream", "--boot-delay", "1h", "--exit-with-stdin"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate(b"")
    assert (process.returncode, out) == (0, b"")


async def test_logs_are_json_and_hold_what_clients_do_not_get() -> None:
    async with spawned("--fault", "{kind: exception, message: the-secret}") as app:
        async with app.client() as client:
            await client.get("/", "X-Request-ID: r5")
            assert b"secret" not in await client.until(b"}\n")
        app.process.send_signal(signal.SIGTERM)
        assert app.process.stderr is not None
        log = (await app.process.stderr.read()).decode()
        await app.exited()
    assert '"request_id": "r5"' in log
    assert "the-secret" in log
    assert '"traceback": "Traceback' in log
