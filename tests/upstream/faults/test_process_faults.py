"""Process faults, in real processes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from pathlib import Path

import pytest

from badgateway_upstream.engine.memory import MIB
from tests.support.instance import SpawnedInstance, spawned
from tests.support.processes import until
from tests.support.proofs import proves

pytestmark = pytest.mark.slow


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and state_of(pid) != "Z"


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def connect_error(app: SpawnedInstance, seconds: float) -> str | None:
    """How connecting fails: a name from errno, "timeout", or None when it works."""
    host, _, port = app.ready["listen"].rpartition(":")
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno or 0]
    return None


async def set_in(app: SpawnedInstance, fault: str) -> None:
    """Wait until the effect of a fault that lasts has set in: its firing is told before."""
    async with asyncio.timeout(10):
        while not (await app.api("GET", f"/faults/{fault}"))[1]["begun"]:
            pass


@proves("crash")
async def test_crash_is_told_before_it_happens() -> None:
    async with spawned() as app:
        state = await app.fault("crash")
        firing = await app.event()
        assert await app.exited() == -signal.SIGKILL
        assert firing["event"] == "firing"
        assert firing["fault"] == state["id"]
        assert firing["n"] == 1
        assert await connect_error(app, 1) == "ECONNREFUSED"


async def test_crash_by_a_request_breaks_its_connection() -> None:
    async with spawned() as app:
        await app.fault("crash", when={"path": "/orders*", "method": "POST"})
        async with app.client() as client:
            await client.get("/orders/1")
            assert b"404" in await client.until(b"\n")
            client.packets.clear()
            await client.send(b"POST /orders HTTP/1.1\r\nHost: a\r\nX-Request-ID: r9\r\nContent-Length: 0\r\n\r\n")
            assert await client.all() == b""
        assert (await app.event())["request_id"] == "r9"
        assert await app.exited() == -signal.SIGKILL


@proves("exit")
async def test_exit_has_its_status() -> None:
    async with spawned() as app:
        await app.fault("exit", status=42)
        assert await app.exited() == 42


@proves("freeze")
async def test_freeze_stops_the_process_until_its_end() -> None:
    async with spawned() as app:
        await app.fault("freeze", for_="700ms")
        assert (await app.event())["kind"] == "freeze"
        await until(lambda: state_of(app.pid) == "T")
        async with app.client() as client:
            # The kernel still accepts for it.
            await client.get()
            await until(lambda: state_of(app.pid) != "T")
            assert await client.answer()


async def test_freeze_ended_by_somebody_else_leaves_no_waker() -> None:
    async with spawned() as app:
        await app.fault("freeze", for_="5m")
        await until(lambda: state_of(app.pid) == "T")
        waker = child_of(app.pid)
        os.kill(app.pid, signal.SIGCONT)
        async with app.client() as client:
            await client.get()
            assert await client.answer()
        await until(lambda: not exists(waker))


async def test_a_frozen_process_that_is_killed_leaves_no_waker() -> None:
    async with spawned() as app:
        await app.fault("freeze", for_="5m")
        await until(lambda: state_of(app.pid) == "T")
        waker = child_of(app.pid)
        os.kill(app.pid, signal.SIGKILL)
        assert await app.exited() == -signal.SIGKILL
        await until(lambda: not exists(waker))


@proves("stop_listening")
async def test_stop_listening_refuses_and_ends() -> None:
    async with spawned() as app:
        async with app.client() as idle:
            await idle.get()
            assert await idle.answer()
            state = await app.fault("stop_listening")
            assert (await app.event())["fault"] == state["id"]
            await set_in(app, state["id"])
            assert await idle.all() == b""
        assert await connect_error(app, 1) == "ECONNREFUSED"
        assert (await app.api("DELETE", f"/faults/{state['id']}"))[0] == 204
        async with app.client() as client:
            await client.get()
            assert await client.answer()


async def test_stop_listening_by_a_request_still_answers_it() -> None:
    async with spawned() as app, app.client() as client:
        await app.fault("stop_listening", when={"path": "/products/1"})
        await client.get()
        assert await client.answer()
        assert await connect_error(app, 1) == "ECONNREFUSED"


async def test_of_two_faults_of_the_listener_the_other_lasts() -> None:
    async with spawned() as app:
        full = await app.fault("accept_queue_full", id="full")
        refused = await app.fault("stop_listening", id="refused")
        await set_in(app, full["id"])
        await set_in(app, refused["id"])
        assert await connect_error(app, 1) == "ECONNREFUSED"
        await app.api("DELETE", "/faults/refused")
        assert await connect_error(app, 0.3) == "timeout"
        await app.api("DELETE", "/faults/full")
        assert await connect_error(app, 1) is None


@proves("accept_queue_full")
async def test_accept_queue_full_drops_syns_and_ends() -> None:
    async with spawned() as app:
        async with app.client() as kept:
            await kept.get()
            assert await kept.answer()
            state = await app.fault("accept_queue_full", close_connections=False)
            assert (await app.event())["kind"] == "accept_queue_full"
            await set_in(app, state["id"])
            assert [await connect_error(app, 0.3) for _ in range(3)] == ["timeout"] * 3
            # Connections that were accepted before go on.
            await kept.get()
            assert await kept.answer()
        accepted = (await app.api("GET", "/state"))[1]["accepted"]
        await app.api("DELETE", f"/faults/{state['id']}")
        async with app.client() as client:
            await client.get()
            assert await client.answer()
        # The connections that filled the queue were its own, and are not counted.
        assert (await app.api("GET", "/state"))[1]["accepted"] == accepted + 1


@proves("boot_slowly")
async def test_boot_slowly_kills_and_boots_as_its_respawn_says() -> None:
    async with spawned() as app:
        await app.fault("boot_slowly")
        assert await app.exited() == -signal.SIGKILL
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with spawned("--boot-delay", "400ms") as app:
        assert loop.time() - began >= 0.4
        assert app.ready["event"] == "ready"


@proves("crash_loop")
async def test_crash_loop_kills_and_dies_again_as_its_respawn_says() -> None:
    async with spawned() as app:
        await app.fault("crash_loop")
        assert await app.exited() == -signal.SIGKILL
    async with spawned("--crash-after", "100ms") as app:
        assert app.ready["event"] == "ready"
        assert await app.exited() == -signal.SIGKILL


@proves("exhaust_descriptors")
async def test_without_descriptors_nothing_can_be_opened_or_accepted() -> None:
    async with spawned() as app, app.client() as kept:
        await kept.get("/report")
        assert b"200 OK" in await kept.until(b"\r\n\r\n")
        before = (await app.api("GET", "/state"))[1]["descriptors"]
        state = await app.fault("exhaust_descriptors", limit=48, close_connections=False)
        assert (await app.event())["event"] == "firing"
        shown = (await app.event())["evidence"]
        assert "RLIMIT_NOFILE is 48" in shown
        assert "[Errno 24] Too many open files" in shown
        async with app.client() as late:
            await late.get("/products/1")
            kept.packets.clear()
            await kept.get("/report")
            assert b"500 Internal" in await kept.until(b"\r\n\r\n")
            kept.packets.clear()
            await kept.get("/products/1")
            assert b"200 OK" in await kept.until(b"\r\n\r\n")
            assert await late.silent(0.2), "connected by the kernel, accepted by nobody"
            assert (await app.api("GET", "/state"))[1]["descriptors"]["limit"] == 48
            assert (await app.api("DELETE", f"/faults/{state['id']}"))[0] == 204
            assert b"200 OK" in await late.until(b"\r\n\r\n")
        after = (await app.api("GET", "/state"))[1]["descriptors"]
        assert after["limit"] == before["limit"]
        assert abs(after["open"] - before["open"]) < 4


async def test_descriptors_of_idle_connections_are_used_up_too() -> None:
    async with spawned() as app, app.client() as idle:
        await idle.get("/products/1")
        assert b"200 OK" in await idle.until(b"\r\n\r\n")
        await app.fault("exhaust_descriptors", for_="600ms")
        assert await idle.all()
        async with app.client() as late:
            await late.get("/products/1")
            assert await late.silent(0.2)
            assert b"200 OK" in await late.until(b"\r\n\r\n"), "the fault is over"


@proves("leak_memory")
async def test_a_watchdog_kills_the_process_for_its_memory() -> None:
    async with spawned() as app, app.client() as client:
        await app.fault("leak_memory", amount_mib=48, limit_mib=24, when={"path": "/report"})
        await client.get("/products/1")
        assert b"200 OK" in await client.until(b"\r\n\r\n")
        client.packets.clear()
        await client.get("/report")
        assert await client.all() == b"", "killed in the middle of the request"
        assert await app.exited() == -signal.SIGKILL
        assert app.process.stderr is not None
        log = (await app.process.stderr.read()).decode()
        assert f"memory watchdog: killed pid {app.pid}, which had " in log


async def test_memory_that_leaked_is_freed_when_the_fault_ends() -> None:
    async with spawned() as app:
        before = (await app.api("GET", "/state"))[1]["resident"]
        state = await app.fault("leak_memory", amount_mib=64, over="200ms", limit_mib=None)
        async with asyncio.timeout(10):
            while (await app.api("GET", "/state"))[1]["resident"] < before + 60 * MIB:
                pass
        assert (await app.api("DELETE", f"/faults/{state['id']}"))[0] == 204
        assert (await app.api("GET", "/state"))[1]["resident"] < before + 16 * MIB


async def test_a_leak_that_ends_in_time_is_not_killed() -> None:
    async with spawned() as app:
        state = await app.fault("leak_memory", amount_mib=64, over="60s", limit_mib=32)
        await set_in(app, state["id"])
        child = child_of(app.pid)
        assert (await app.api("DELETE", f"/faults/{state['id']}"))[0] == 204
        assert not exists(child)
        assert (await app.api("GET", "/state"))[0] == 200
