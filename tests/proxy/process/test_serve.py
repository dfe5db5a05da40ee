"""A hop as a process of its own: it says when it is ready, finishes what it began, and ends when it should."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from tests.support.answers import read_answer
from tests.support.hopprocess import DEADLINE, hop_process, start
from tests.support.peers import OK, field, healthy, says
from tests.support.processes import until
from tests.support.rawclient import raw_client
from tests.support.wire import RawUpstream, raw_upstream


async def test_it_says_where_it_listens_and_ends_in_order() -> None:
    async with raw_upstream(healthy) as upstream, hop_process(upstream.address) as hop:
        assert set(hop.ready) == {"event", "name", "pid", "listen", "admin"}
        assert (hop.ready["event"], hop.ready["name"], hop.ready["pid"]) == ("ready", "lb", hop.process.pid)
        async with raw_client(hop.address) as client, raw_client(hop.ready["admin"]) as admin:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await client.answer() == b"ok"
            await admin.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await admin.until(b'"ok"')
            for garbage in (
                b"\xff\xfe\r\n\r\n",
                b"GET / HTTP/9.9\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            ):
                async with raw_client(hop.address) as other:
                    await other.send(garbage)
                    assert read_answer(await other.until(b"}\n")).status in (400, 505)
            hop.process.send_signal(signal.SIGTERM)
            assert await client.all() == b""
            assert client.end == "fin"
        assert await hop.ended() == (0, "")


async def test_what_is_under_way_is_finished_after_sigterm() -> None:
    go = asyncio.Event()
    body = bytes(300_000)

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await upstream.read_head(reader)
        await go.wait()
        if field(head, b"content-length"):
            upstream.heads.append(await reader.readexactly(len(body)))
        writer.write(OK)

    async with raw_upstream(script) as upstream, hop_process(upstream.address, "drain=10s") as hop:
        async with raw_client(hop.address) as get, raw_client(hop.address) as post, raw_client(hop.address) as idle:
            await get.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await post.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nx" % len(body))
            await until(lambda: upstream.connections == 2)
            hop.process.send_signal(signal.SIGTERM)
            assert await idle.all() == b""
            await until_refused(hop.address)
            await post.send(body[1:])
            go.set()
            for client in (get, post):
                answer = read_answer(await client.all())
                assert (answer.status, answer.data, client.end) == (200, b"ok", "fin")
            assert len(upstream.heads[-1]) == len(body)
        assert await hop.ended() == (0, "")


async def until_refused(address: str) -> None:
    host, _, port = address.rpartition(":")

    def refused() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex((host, int(port))) != 0

    await until(refused, what="the hop accepts no more connections")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_does_not_end_is_given_up_after_the_drain(number: signal.Signals) -> None:
    async with raw_upstream(says(then="hang")) as upstream, hop_process(upstream.address, "drain=100ms") as hop:
        async with raw_client(hop.address) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: upstream.heads)
            hop.process.send_signal(number)
            await client.all()
            assert client.end in ("fin", "reset")
        assert await hop.ended() == (0, "")


async def test_it_ends_at_once_when_its_stdin_does() -> None:
    async with (
        raw_upstream(says(then="hang")) as upstream,
        hop_process(upstream.address, "exit_with_stdin=true", "drain=10s") as hop,
        raw_client(hop.address) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: upstream.heads)
        assert hop.process.stdin is not None
        hop.process.stdin.write(b"anything but the end\n")
        assert await client.silent(0.05)
        hop.process.stdin.close()
        async with asyncio.timeout(5):
            assert await hop.process.wait() == 0


async def test_an_empty_stdin_has_ended_already() -> None:
    async with hop_process("127.0.0.1:9", "exit_with_stdin=true", stdin=DEVNULL) as hop:
        assert await hop.ended() == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_sockets_are_used_as_well_with_uvloop_which_a_process_prefers() -> None:
    pytest.importorskip("uvloop")
    here = Path(__file__).parent.parent
    files = ["test_exchange.py", "test_reply.py", "transport"]
    arguments = ["-m", "pytest", "-q", "-x", "-p", "tests.support.on_uvloop", "-p", "no:cacheprovider"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments, *(str(here / file) for file in files)),
        cwd=here.parent.parent,
        env=os.environ | {"PYTHONPATH": str(here.parent.parent)},
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


@pytest.mark.parametrize("listener", ["--listen", "--admin"])
async def test_a_port_in_use_is_an_error_that_names_its_holder(listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        other = "--admin" if listener == "--listen" else "--listen"
        process = await start(listener, f"127.0.0.1:{port}", other, "127.0.0.1:0", "--upstream", "127.0.0.1:9")
        async with asyncio.timeout(DEADLINE):
            out, errors = await process.communicate()
    assert (process.returncode, out) == (3, b"")
    (line,) = errors.decode().splitlines()
    assert line.startswith(f"127.0.0.1:{port} is already in use by process {os.getpid()} (")
    assert line.endswith("; stop that, or choose another port")
