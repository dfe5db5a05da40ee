"""The listening socket. What it looks like from outside is in faults/test_process_faults.py."""

from __future__ import annotations

import asyncio
import socket

import pytest

from badgateway_upstream.wire.listener import Listener
from tests.support.rawclient import raw_client


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def greeted(listener: Listener) -> bytes:
    async with raw_client(listener.address) as client:
        return await client.all()


async def test_a_port_taken_in_the_meantime_is_taken_back_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener("127.0.0.1", 0, 8, Greeter)
    listener.open()
    assert await greeted(listener) == b"hello"
    listener.close()
    with socket.create_server(("127.0.0.1", listener.port)):
        listener.listen_again()
        assert "cannot listen on" in caplog.text
    async with asyncio.timeout(5):
        while True:
            try:
                assert await greeted(listener) == b"hello"
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
    listener.close()
    await listener.settled()


async def test_a_full_queue_takes_nobody_and_empties() -> None:
    listener = Listener("127.0.0.1", 0, 8, Greeter)
    listener.open()
    listener.fill()
    listener.fill()
    with pytest.raises(TimeoutError):
        async with raw_client(listener.address, deadline=0.3):
            pass
    listener.listen_again()
    assert await greeted(listener) == b"hello"
    assert listener.accepted == 1
    listener.fill()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await greeted(listener)
    await listener.settled()
