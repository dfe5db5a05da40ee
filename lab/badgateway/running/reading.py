"""Reads one response from bytes as they come, and remembers everything that was not as it should be."""

from __future__ import annotations

import asyncio
from typing import Literal

import httptools

from badgateway.running.answer import Answer, Header, Interim, members_of
from badgateway.running.observations import Failure

HEAD_CAP = 1024 * 1024
"""Bytes of a head, interim ones included, after which one stops listening."""

FIRST_BYTES = 512
"""Bytes that are kept of what was no HTTP."""


class Reading:
    """One response, as httptools' parser reports it."""

    def __init__(self, request_id: str, method: str, body_cap: int, started: float) -> None:
        self.request_id, self.method, self.body_cap, self.started = request_id, method, body_cap, started
        # httptools ships no types for its classes' constructors
        self.parser = httptools.HttpResponseParser(self)
        self.done = False
        self.reason = ""
        self.headers: list[Header] = []
        self.interim: list[Interim] = []
        self.status: int | None = None
        self.body = bytearray()
        self.body_bytes = 0
        self.received = 0
        self.first_bytes = b""
        self.head_at: float | None = None
        self.body_at: float | None = None
        self.failure: Failure | None = None
        self.details = ""
        self.truncated: str | None = None
        self.end: Literal["FIN", "RST"] | None = None
        self.keep_alive = False
        self.surplus = False

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the same connection."""
        whole = self.done and not (self.failure or self.truncated or self.surplus or self.end)
        return whole and self.keep_alive and self.status != 101

    # what httptools calls

    def on_message_begin(self) -> None:
        self.reason, self.headers = "", []

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status is None:  # else it is a trailer
            self.headers.append((name.decode("latin-1"), value.decode("utf-8", "backslashreplace")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.interim.append(Interim(status, tuple(self.headers)))
            return
        self.status = status
        self.keep_alive = self.parser.should_keep_alive()
        self.head_at = asyncio.get_running_loop().time()
        if self.method == "HEAD" or status in {101, 204, 304}:
            self.done = True  # no body, whatever the head says (RFC 9112 section 6.3)

    def on_body(self, data: bytes) -> None:
        if self.done:
            self.surplus = True
            return
        if self.body_at is None:
            self.body_at = asyncio.get_running_loop().time()
        self.body_bytes += len(data)
        self.body += data[: max(0, self.body_cap - len(self.body))]

    def on_message_complete(self) -> None:
        self.done = self.done or self.status is not None

    # what the connection calls

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        if self.done:
            self.surplus = True
            return
        self.first_bytes += data[: FIRST_BYTES - len(self.first_bytes)]
        self.received += len(data)
        if self.status is None and self.received > HEAD_CAP:
            self.fail("not_http", "more than 1 MiB of head")
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.done = True
        except httptools.HttpParserError as error:
            if self.done:
                self.surplus = True  # it was whole before the bytes that could not be read
            else:
                self.fail("not_http", str(error))

    def lost(self, end: Literal["FIN", "RST"]) -> None:
        """The connection is gone."""
        if self.done:
            return
        self.end = end
        if self.status is None:
            what = "before any byte" if not self.received else f"after {self.received} bytes of no whole head"
            self.fail("reset" if end == "RST" else "closed", f"the connection ended {what}")
            return
        self.done = True
        announced = self._field("content-length")
        if "chunked" in self._field("transfer-encoding").lower():
            self.truncated = f"received {self.body_bytes} bytes, and no last chunk"
        elif announced:
            self.truncated = f"received {self.body_bytes} of {announced} bytes"
        elif end == "RST":
            self.truncated = f"received {self.body_bytes} bytes, then a reset"

    def fail(self, failure: Failure, details: str) -> None:
        """It cannot become a whole response any more."""
        if self.done:
            return
        self.done = True
        if self.status is None:
            self.failure, self.details = failure, details
        else:
            self.truncated = f"received {self.body_bytes} bytes, then: {details}"

    def _field(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    def answer(self, now: float) -> Answer:
        """All that was seen."""
        headers = tuple(self.headers) if self.status is not None else ()
        return Answer(
            status=self.status,
            reason=self.reason if self.status is not None else "",
            headers=headers,
            body=bytes(self.body),
            body_bytes=self.body_bytes,
            elapsed=now - self.started,
            head_after=None if self.head_at is None else self.head_at - self.started,
            body_after=None if self.body_at is None else self.body_at - self.started,
            failure=self.failure,
            truncated=self.truncated,
            end=self.end,
            interim=tuple(self.interim),
            first_bytes=self.first_bytes if self.failure == "not_http" else b"",
            details=self.details,
            request_id=self.request_id,
            surplus=self.surplus,
            proxy_status=members_of(headers),
        )
