"""Flow faults: they shape the true answer."""

from __future__ import annotations

import asyncio

from tests.support.instance import here
from tests.support.proofs import proves

BODY = b'{"id":1,"name":"Tin of tea","price_cents":790,"stock":120}\n'


@proves("latency")
async def test_latency_delays_the_answer_by_at_least_its_time() -> None:
    async with here() as app:
        app.fault("latency", latency="60ms")
        async with app.client() as client:
            began = asyncio.get_running_loop().time()
            await client.get()
            assert await client.answer() == BODY
            assert asyncio.get_running_loop().time() - began >= 0.06
        assert len(app.firings) == 1


async def test_latency_ends_with_its_fault() -> None:
    async with here() as app:
        fault = app.fault("latency", latency="1h", for_="10m")
        async with app.client() as client:
            await client.get()
            assert await client.silent()
            app.instance.book.remove(fault.id)
            assert await client.answer() == BODY


@proves("bandwidth")
async def test_bandwidth_limits_the_rate() -> None:
    async with here() as app:
        app.fault("bandwidth", rate=200)
        async with app.client() as client:
            began = asyncio.get_running_loop().time()
            await client.get("/bytes/20000")
            assert len(await client.answer()) == 20000
            assert asyncio.get_running_loop().time() - began >= 0.1
            assert max(len(packet) for packet in client.packets or [b""]) <= 10_000


@proves("slicer")
async def test_slicer_sends_small_packets() -> None:
    async with here() as app:
        app.fault("slicer", average_size=40, size_variation=10, delay="30ms", when={"seed": 1})
        async with app.client() as client:
            await client.get()
            await client.until(BODY)
            assert all(30 <= len(packet) <= 50 for packet in client.packets[:-1])
            assert len({len(packet) for packet in client.packets}) > 1


@proves("slow_close")
async def test_slow_close_ends_an_answer_without_length_late() -> None:
    async with here() as app:
        fault = app.fault("slow_close", delay="5m")
        async with app.client() as client:
            await client.get()
            head, _, body = (await client.until(BODY)).partition(b"\r\n\r\n")
            assert body == BODY
            assert b"Content-Length" not in head
            assert b"\r\nConnection: close" in head
            assert await client.silent()
            app.instance.book.remove(fault.id)
            await client.all()
            assert client.end == "fin"


@proves("limit_data")
async def test_limit_data_closes_after_so_many_bytes() -> None:
    async with here() as app:
        app.fault("limit_data", bytes=150)
        async with app.client() as client:
            await client.get()
            whole = await client.all()
            assert len(whole) == 150
            assert client.end == "fin"
        assert len(app.firings) == 1


async def test_limit_data_does_not_claim_what_it_did_not_do() -> None:
    async with here() as app:
        app.fault("limit_data", bytes=10_000)
        async with app.client() as client:
            await client.get()
            assert await client.answer() == BODY
        assert not app.firings


async def test_flow_faults_combine_with_each_other_and_with_a_script() -> None:
    async with here() as app:
        app.fault("truncate", at=40)
        app.fault("slicer", average_size=100, delay="30ms")
        app.fault("latency", latency="1ms")
        async with app.client() as client:
            await client.get("/products/1", "X-Request-ID: all")
            whole = await client.all()
            assert whole.endswith(b"\r\n\r\n" + BODY[:40])
            assert len(client.packets[0]) == 100
        assert {f["kind"] for f in app.firings} == {"truncate", "slicer", "latency"}
        assert len((await app.exchange("all")).firings) == 3
