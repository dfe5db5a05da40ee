"""Faults of an app that runs out of something: disk, descriptors, memory, time. The kernel says so, not a flag."""

from __future__ import annotations

import asyncio
import itertools
import logging
import resource
import time

import pytest

from tests.support.instance import HereInstance, here
from tests.support.processes import until
from tests.support.proofs import proves
from tests.support.rawclient import RawClient

ORDER = b'{"product_id":1}'


async def asked(
    client: RawClient, method: str, path: str, body: bytes = b"", request_id: str = "r1"
) -> tuple[int, str]:
    """Ask on a kept-alive connection; the status and the body."""
    client.packets.clear()
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    await client.send(head.encode() + body)
    seen = await client.until(b"\r\n\r\n")
    top, _, rest = seen.partition(b"\r\n\r\n")
    length = int(top.lower().partition(b"content-length: ")[2].split()[0])
    while len(rest) < length:
        rest += await client.packet()
    return int(top.split()[1]), rest.decode()


async def begun(app: HereInstance) -> str:
    """Wait until the newest fault has set in; what shows it."""
    fault = app.instance.book.faults()[-1]
    await until(lambda: fault.evidence != "")
    return fault.evidence


@proves("disk_full")
async def test_a_full_disk_fails_what_writes_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with here() as app, app.client() as client:
        assert await asked(client, "GET", "/report") == (200, REPORT)
        fault = app.fault("disk_full")
        evidence = await begun(app)
        assert evidence.startswith(("a tmpfs of 65536 bytes, of which 65536 are written", "/dev/full, as no file"))
        assert {"event": "evidence", "fault": fault.id, "evidence": evidence, "happened": True} in app.events
        assert (await asked(client, "GET", "/report"))[0] == 500
        assert (await asked(client, "POST", "/orders", ORDER, "order-7"))[0] == 500
        last = caplog.records[-1]
        assert "OSError: [Errno 28] No space left on device" in caplog.text
        assert getattr(last, "request_id", None) == "order-7"
        assert (await asked(client, "GET", "/orders/1"))[0] == 404, "the order was undone"
        assert (await asked(client, "GET", "/health"))[0] == 200, "what only reads does not notice"
        app.instance.book.remove(fault.id)
        assert (await asked(client, "POST", "/orders", ORDER))[0] == 201
        assert (await asked(client, "GET", "/report"))[0] == 200


@proves("out_of_memory")
async def test_memory_that_the_kernel_refuses_is_a_500_that_the_process_survives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with here() as app, app.client() as client:
        before = resource.getrlimit(resource.RLIMIT_AS)
        app.fault("out_of_memory", room_mib=16, when={"path": "/products", "first": 2})
        for _ in range(2):
            assert (await asked(client, "GET", "/products", request_id="r-m"))[0] == 500
        assert "MemoryError" in caplog.text
        assert getattr(caplog.records[-1], "request_id", None) == "r-m"
        assert (await asked(client, "GET", "/products"))[0] == 200
        assert resource.getrlimit(resource.RLIMIT_AS) == before
        assert len(app.firings) == 2


@proves("broken_database")
@pytest.mark.parametrize(
    ("how", "words", "reading", "ordering"),
    [
        ("missing_table", "no such table: products", 500, 500),
        ("corrupt", "database disk image is malformed", 500, 500),
        ("read_only", "attempt to write a readonly database", 200, 500),
    ],
)
async def test_queries_fail_as_sqlite_says(
    how: str, words: str, reading: int, ordering: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with here() as app, app.client() as client:
        fault = app.fault("broken_database", how=how)
        assert (await begun(app)).endswith(words)
        assert (await asked(client, "GET", "/products"))[0] == reading
        assert (await asked(client, "GET", "/health"))[0] == reading
        assert (await asked(client, "POST", "/orders", ORDER, "order-8"))[0] == ordering
        assert words in caplog.text
        assert getattr(caplog.records[-1], "request_id", None) == "order-8"
        assert (await asked(client, "GET", "/orders/1"))[0] == 404, "another table is well"
        app.instance.book.remove(fault.id)
        assert (await asked(client, "POST", "/orders", ORDER))[0] == 201


@proves("database_locked")
async def test_orders_wait_for_the_lock_and_reading_does_not() -> None:
    async with here(lock_timeout="5s") as app, app.client() as client, app.client() as other:
        fault = app.fault("database_locked")
        await begun(app)
        waiting = asyncio.create_task(asked(client, "POST", "/orders", ORDER))
        for path in ("/products", "/health", "/report"):
            assert (await asked(other, "GET", path))[0] == 200
        assert not waiting.done()
        app.instance.book.remove(fault.id)
        assert (await waiting)[0] == 201


async def test_whoever_waits_too_long_for_the_lock_gets_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async with here(lock_timeout="50ms") as app, app.client() as client:
        app.fault("database_locked")
        await begun(app)
        assert (await asked(client, "POST", "/orders", ORDER))[0] == 500
        assert "sqlite3.OperationalError: database is locked" in caplog.text


async def test_a_relay_has_no_database_and_says_so() -> None:
    async with here(backend="http://127.0.0.1:9") as app:
        fault = app.fault("database_locked")
        assert await begun(app) == "did not happen: an instance that relays to a backend has no database"
        assert not fault.begun
        assert app.events[-1]["happened"] is False


async def test_a_worker_timeout_breaks_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with here(worker_timeout="600ms") as app:
        app.fault("downstream_hangs", when={"path": "/products"})
        async with app.client() as client:
            assert (await asked(client, "GET", "/products/1"))[0] == 200
            client.packets.clear()
            await client.get("/products", "X-Request-ID: r-w")
            assert await client.all() == b""
        assert "WORKER TIMEOUT in GET /products" in caplog.text
        assert getattr(caplog.records[-1], "request_id", None) == "r-w"
        app.fault("bandwidth", rate=10)
        async with app.client() as client:
            await client.get("/bytes/20000")
            seen = await client.all()
        assert seen.startswith(b"HTTP/1.1 200 OK")
        assert 0 < len(seen.partition(b"\r\n\r\n")[2]) < 20000


@proves("slow_query")
async def test_a_slow_query_keeps_one_worker_busy_and_nobody_else() -> None:
    async with here(workers=1) as app, app.client() as slow, app.client() as other:
        app.fault("slow_query", takes="300ms", when={"path": "/products", "first": 1})
        began = time.monotonic()
        waiting = asyncio.create_task(asked(slow, "GET", "/products"))
        await until(lambda: app.instance.state()["workers"]["busy"])
        assert (await asked(other, "GET", "/products/1"))[0] == 200
        assert not waiting.done()
        starved = asyncio.create_task(asked(other, "GET", "/report"))
        await until(lambda: app.instance.state()["workers"]["waiting"])
        assert (await waiting)[0] == 200
        assert time.monotonic() - began > 0.1
        assert (await starved)[0] == 200
        assert app.instance.state()["workers"] == {"count": 1, "busy": 0, "waiting": 0}


async def test_a_slow_query_ends_with_its_fault() -> None:
    async with here() as app, app.client() as client:
        fault = app.fault("slow_query", takes="30s")
        waiting = asyncio.create_task(asked(client, "GET", "/products"))
        await until(lambda: app.instance.state()["workers"]["busy"])
        app.instance.book.remove(fault.id)
        began = time.monotonic()
        assert (await waiting)[0] == 200
        assert time.monotonic() - began < 5


async def test_a_statement_timeout_ends_a_slow_query_and_the_app_says_so() -> None:
    async with here(statement_timeout="50ms") as app, app.client() as client:
        app.fault("slow_query", takes="30s")
        status, body = await asked(client, "GET", "/products")
        assert (status, "the database took too long" in body) == (503, True)
        await until(lambda: not app.instance.state()["workers"]["busy"])


@proves("downstream_hangs")
async def test_a_service_that_hangs_keeps_those_waiting_that_need_it() -> None:
    async with here() as app, app.client() as client, app.client() as other:
        fault = app.fault("downstream_hangs", when={"path": "/products"})
        waiting = asyncio.create_task(asked(client, "GET", "/products"))
        await until(lambda: app.instance.equipment.downstream.calls)
        assert (await asked(other, "GET", "/products/1"))[0] == 200
        assert not waiting.done()
        app.instance.book.remove(fault.id)
        assert (await waiting)[0] == 200


async def test_with_a_deadline_of_its_own_the_app_gives_up_first() -> None:
    async with here(downstream_timeout="50ms") as app, app.client() as client:
        app.fault("downstream_hangs")
        assert await asked(client, "GET", "/products", request_id="r7") == (
            504,
            '{"error":"the carrier did not answer in time","request_id":"r7"}\n',
        )


@proves("starve_cpu")
async def test_many_computing_threads_leave_the_event_loop_few_turns() -> None:
    had = {}
    for elsewhere in (False, True):
        async with here() as app, app.client() as client:
            app.fault("starve_cpu", computes="400ms", elsewhere=elsewhere)
            turns: list[float] = []

            async def take_turns(turns: list[float]) -> None:
                while True:
                    turns.append(time.monotonic())
                    await asyncio.sleep(0.001)

            turning = asyncio.create_task(take_turns(turns))
            began = time.monotonic()
            assert (await asked(client, "GET", "/products"))[0] == 200
            assert time.monotonic() - began >= 0.4
            turning.cancel()
            had[elsewhere] = len(turns)
            if not elsewhere:
                gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
                assert sum(sorted(gaps)[-3:]) > 0.1, "it waits for each of the threads, again and again"
    assert had[True] > 1.5 * had[False]


@proves("block_event_loop")
@pytest.mark.parametrize("work", ["sleep", "cpu"])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_who_blocks_the_loop_blocks_everybody(work: str, in_thread: bool) -> None:
    async with here() as app, app.client() as blocking, app.client() as other:
        app.fault("block_event_loop", blocks="400ms", work=work, in_thread=in_thread, when={"path": "/products"})
        turns: list[float] = []

        async def take_turns() -> None:
            while True:
                turns.append(time.monotonic())
                await asyncio.sleep(0.005)

        turning = asyncio.create_task(take_turns())
        await until(lambda: turns)
        waiting = asyncio.create_task(asked(blocking, "GET", "/products"))
        await until(lambda: app.firings)
        if in_thread:
            assert (await asked(other, "GET", "/products/1"))[0] == 200
            assert not waiting.done(), "the others did not wait for it"
        assert (await waiting)[0] == 200
        so_far = len(turns)
        await until(lambda: len(turns) > so_far)
        turning.cancel()
        longest = max(later - earlier for earlier, later in itertools.pairwise(turns))
        assert (longest >= 0.4) is not in_thread


async def test_faults_in_the_handler_work_in_front_of_a_real_backend_too() -> None:
    async with (
        here() as backend,
        here(backend=f"http://{backend.instance.listen}", statement_timeout="30ms") as app,
        app.client() as client,
    ):
        app.fault("slow_query", takes="20s")
        assert (await asked(client, "GET", "/products"))[0] == 503


REPORT = "".join(
    f"{line}\r\n"
    for line in (
        "product_id,name,sold,cents",
        *(f"{n},{name},0,0" for n, name in enumerate(("Tin of tea", "Teapot", "Strainer", "Cup and saucer"), 1)),
        *(f"{n},{name},0,0" for n, name in enumerate(("Sugar tongs", "Kettle", "Tea towel", "Honey"), 5)),
    )
)
