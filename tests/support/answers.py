"""Reading a hop's answers as the bytes that they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from badgateway_proxy import parse_proxy_status
from badgateway_proxy.transport.proxy_status import ProxyStatusMember


@dataclass(frozen=True)
class Answer:
    """One response: `fields` as sent, `body` the bytes behind the head, still chunked if they were."""

    status: int
    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: str) -> list[bytes]:
        """Every value of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]

    def one(self, name: str) -> bytes | None:
        """The value of a field that may stand there once at most."""
        values = self.all(name)
        assert len(values) < 2, f"{name} more than once: {values}"
        return values[0] if values else None

    @property
    def members(self) -> list[ProxyStatusMember]:
        """The members of Proxy-Status."""
        return parse_proxy_status((self.one("Proxy-Status") or b"").decode())

    @property
    def error(self) -> str | None:
        """The error type in the last member of Proxy-Status: that of the hop that was asked."""
        return self.members[-1].error if self.members else None

    @property
    def problem(self) -> dict[str, Any]:
        """The problem details (RFC 9457) in the body."""
        assert self.one("Content-Type") == b"application/problem+json"
        assert self.one("Content-Length") == b"%d" % len(self.body)
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem

    @property
    def data(self) -> bytes:
        """The body, which must be complete by its own framing."""
        if self.one("Transfer-Encoding") == b"chunked":
            assert self.one("Content-Length") is None
            data, complete = dechunked(self.body)
            assert complete, f"no last chunk: {self.body[-60:]!r}"
            return data
        length = self.one("Content-Length")
        if length is not None:
            assert len(self.body) == int(length), f"{len(self.body)} of {length.decode()} bytes"
        else:
            assert self.one("Connection") == b"close"
        return self.body


def read_answers(raw: bytes) -> list[Answer]:
    """Split the interim responses from the final one; all but the last must be interim."""
    answers: list[Answer] = []
    while True:
        head, end, rest = raw.partition(b"\r\n\r\n")
        assert end, f"no whole head: {raw[:200]!r}"
        line, *lines = head.split(b"\r\n")
        assert line.startswith(b"HTTP/1.1 "), line
        fields = [(name, value.strip(b" \t")) for name, _, value in (each.partition(b":") for each in lines)]
        status = int(line[9:12])
        if status >= 200 or status == 101:
            return [*answers, Answer(status, line, fields, rest)]
        answers.append(Answer(status, line, fields, b""))
        raw = rest


def read_answer(raw: bytes) -> Answer:
    """The one response in `raw`, without interim ones before it."""
    (answer,) = read_answers(raw)
    return answer


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """What chunks hold, and whether the last chunk is there with nothing behind it (RFC 9112 section 7.1)."""
    data = b""
    while body:
        size, line_end, body = body.partition(b"\r\n")
        if not line_end:
            return data, False
        length = int(size, 16)
        if not length:
            assert body == b"\r\n", f"behind the last chunk: {body!r}"
            return data, True
        data += body[:length]
        if len(body) < length + 2:
            return data, False
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]
    return data, False
