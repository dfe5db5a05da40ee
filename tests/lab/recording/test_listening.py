"""The event stream as `record` reads it: events in order, silence, and the end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.control.client import ControlClient
from badgateway.recording.listening import EventStream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def server(*parts: bytes, hold: threading.Event | None = None) -> Iterator[ControlClient]:
    """Says `parts` to one client, waits for `hold`, and closes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            for part in parts:
                connection.sendall(part)
            if hold is not None:
                hold.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield ControlClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "t")
        if hold is not None:
            hold.set()
        thread.join(10)


def test_events_come_in_order_whatever_the_packets() -> None:
    first, second = b'event: order\ndata: {"kind": "order"}\n\n', b': heartbeat\n\ndata: {"kind": "exchange"}\n\n'
    with (
        server(HEAD, chunk(first[:9]), chunk(first[9:] + second), hold=threading.Event()) as client,
        EventStream(client) as events,
    ):
        assert events.take(10) == {"kind": "order"}
        assert events.take(10) == {"kind": "exchange"}
        assert events.take(0.01) is None


@pytest.mark.parametrize("parts", [(HEAD,), (HEAD, chunk(b"data: {"))])
def test_the_end_of_the_chain_is_told(parts: tuple[bytes, ...]) -> None:
    with server(*parts) as client, EventStream(client) as events, pytest.raises(EOFError):
        events.take(10)


def test_what_is_no_stream_is_refused() -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with server(answer) as client, pytest.raises(EnvironmentProblem, match="answered 401"):
        EventStream(client)
    gone = ControlClient("http://127.0.0.1:1", "t")
    with pytest.raises(EnvironmentProblem, match="no events from"):
        EventStream(gone)
