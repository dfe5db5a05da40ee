"""The control API's event stream, read without an event loop: `badgateway record` has nothing else to wait for."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from badgateway.chain.errors import EnvironmentProblem
from badgateway.control.client import ControlClient

_CONNECT = 10.0


class EventStream:
    """Events as they come, each the `data` of a server-sent event with its `kind`. A context manager."""

    def __init__(self, client: ControlClient) -> None:
        """Raises EnvironmentProblem when the control API does not answer with a stream."""
        parts = urlsplit(client.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_CONNECT)
        path = f"{parts.path.rstrip('/')}/api/events"
        try:
            self._connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
            self._answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise EnvironmentProblem(f"no events from the control API at {client.url} ({error})") from error
        self._socket = self._connection.sock
        if self._answer.status != 200 or self._socket is None:
            self._connection.close()
            raise EnvironmentProblem(f"the control API at {client.url} answered {self._answer.status} to /api/events")
        self._socket.settimeout(None)  # heartbeats come, and Ctrl-C ends the waiting
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        # a thread of its own, so that the main one can wait for an event and for a signal at once
        threading.Thread(target=self._read, name="events", daemon=True).start()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(
                socket.SHUT_RDWR
            )  # closing alone would wait for the thread, and that for the next event
        self._connection.close()

    def take(self, seconds: float) -> dict[str, Any] | None:
        """The next event; None if none came within so many seconds.

        Raises:
            EOFError: the chain has ended.
        """
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        if event is None:
            raise EOFError("the chain has ended")
        return event

    def _read(self) -> None:
        try:
            for event in _parsed(iter(self._answer.readline, b"")):
                self._events.put(event)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed from either side; whoever takes is told below
        self._events.put(None)


def _parsed(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Server-sent events whose data is one line of JSON (https://html.spec.whatwg.org/#server-sent-events)."""
    for line in lines:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])
