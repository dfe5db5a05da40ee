"""Bytes nobody thought of, on both sides: whatever comes in, what goes out is whole, meant, and somebody's own.

Seeded: a failure names its seed and comes back.
"""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from tests.support.answers import Answer, dechunked
from tests.support.peers import OK
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

SCRAPS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"\x0b", b"\xff", b"0", b"5", b"a", b"x", b"\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n",
    b"Transfer-Encoding: identity\r\n", b"Expect: 100-continue\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
    b"GET /poison HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 101 S\r\n\r\n",
]  # fmt: skip


def mutated(data: bytes, rand: random.Random) -> bytes:
    """`data` after one to three small accidents."""
    for _ in range(rand.randint(1, 3)):
        at = rand.randint(0, len(data))
        match rand.randrange(4):
            case 0:
                data = data[:at] + rand.choice(SCRAPS) + data[at:]
            case 1:
                data = data[:at] + data[at + rand.randint(1, 4) :]
            case 2:
                data = data[:at] + bytes([rand.randrange(256)]) + data[at + 1 :]
            case _:
                end = rand.randint(at, min(len(data), at + 40))
                data = data[:end] + data[at:end] + data[end:]
    return data


# -- clients -------------------------------------------------------------------------------------------

REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /d HTTP/1.1\r\nHost: a\r\n\r\nGET /e HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /f HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]

HEAD = re.compile(
    rb"[A-Z-]+ (?:/[!-~]*|\*) HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]?[\t -~\x80-\xff]*\r\n)+\r\n"
)


class StrictEndpoint:
    """Reads requests to the letter of the grammar; what does not fit it is kept as a complaint."""

    def __init__(self) -> None:
        self.requests = 0
        self.complaints: list[bytes] = []

    async def script(self, upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await upstream.read_head(reader)
            if HEAD.fullmatch(head) is None:
                self.complaints.append(head)
            names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:-2]]
            lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
            if names.count(b"host") != 1 or lengths + codings > 1:
                self.complaints.append(head)
            self.requests += 1
            if codings:
                await self._read_chunks(reader)
            elif lengths:
                (length,) = re.findall(rb"(?im)^content-length: ([0-9]+)\r$", head)
                await reader.readexactly(int(length))
            writer.write(OK)

    async def _read_chunks(self, reader: asyncio.StreamReader) -> None:
        while True:
            line = await reader.readuntil(b"\r\n")
            if re.fullmatch(rb"[0-9a-f]+\r\n", line) is None:
                self.complaints.append(line)
                return
            size = int(line, 16)
            chunk = await reader.readexactly(size + 2)
            if not chunk.endswith(b"\r\n"):
                self.complaints.append(chunk)
            if not size:
                return


def responses(raw: bytes) -> list[Answer]:
    """Everything that a client got, which must be whole responses and nothing else."""
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        assert end, f"half a head: {head!r}"
        line, *lines = head.split(b"\r\n")
        assert re.fullmatch(rb"HTTP/1\.1 [1-5][0-9][0-9] [ -~]*", line), line
        fields = [(name, value.strip()) for name, _, value in (each.partition(b":") for each in lines)]
        answer = Answer(int(line[9:12]), line, fields, b"")
        length = int(answer.one("Content-Length") or 0)
        found.append(Answer(answer.status, line, fields, raw[:length]))
        assert len(raw) >= length, f"{len(raw)} of {length} bytes"
        raw = raw[length:]
    return found


async def try_request(hop: RunningHop, data: bytes) -> None:
    for answer in responses(await hop.send(data)):
        assert answer.status in (100, 200, 400, 408, 413, 414, 431, 501, 505), answer
        assert answer.status == 100 or answer.one("Via") == b"1.1 lb"


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_a_client_sends_endpoints_get_whole_requests_only(seed: int) -> None:
    rand, endpoint = random.Random(seed), StrictEndpoint()
    impatient = {"client_head": "30ms", "client_body": "30ms", "client_idle": "30ms"}
    async with raw_upstream(endpoint.script) as upstream, running_hop(upstream.address, timeouts=impatient) as hop:
        for _ in range(4):
            batch = [mutated(rand.choice(REQUESTS), rand) for _ in range(25)]
            await asyncio.gather(*(try_request(hop, data) for data in batch))
        assert endpoint.complaints == []
        records = hop.hop.recorder.query(limit=1000)
        attempts = sum(len(record.attempts) for record in records)
        assert endpoint.requests == attempts
        assert all(record.error != "proxy_internal_error" for record in records)


# -- endpoints -----------------------------------------------------------------------------------------

RESPONSES = [
    OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nok",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
]
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECOND"


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_an_endpoint_sends_is_no_other_clients_answer(seed: int) -> None:
    rand = random.Random(seed)
    sent = b""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await upstream.read_head(reader)
            writer.write(SECOND if head.startswith(b"GET /second") else sent)

    impatient = {"first_byte": "20ms", "between_bytes": "20ms"}
    settings = {"timeouts": impatient, "breaker": {"enabled": False}}
    async with raw_upstream(script) as upstream, running_hop(upstream.address, **settings) as hop:
        for _ in range(60):
            sent = mutated(rand.choice(RESPONSES), rand)
            await check_first(hop, sent)
            for answer in responses(await hop.get("/second")):
                assert answer.status in (200, 502, 504), sent
                assert answer.status != 200 or answer.body == b"SECOND", sent
        records = hop.hop.recorder.query(limit=1000)
        assert all(record.error != "proxy_internal_error" for record in records)
        assert {record.status for record in records} <= {None, *range(200, 600)}


async def check_first(hop: RunningHop, sent: bytes) -> None:
    """A response with a length or chunks is either whole, or visibly not."""
    raw = await hop.get("/first")
    while raw.startswith(b"HTTP/1.1 1"):
        _, _, raw = raw.partition(b"\r\n\r\n")
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end, (sent, raw)
    assert re.fullmatch(rb"HTTP/1\.1 [2-5][0-9][0-9] [^\r\n\0]*", head.split(b"\r\n")[0]), (sent, head)
    record = hop.hop.recorder.query()[-1]
    fields = head.lower()
    if b"\r\ntransfer-encoding: chunked" in fields:
        _, whole = dechunked(body)
        assert whole != record.truncated, (sent, raw)
    elif match := re.search(rb"\r\ncontent-length: *([0-9]+)", fields):
        bodiless = record.status in (204, 304)
        assert (len(body) < int(match[1]) and not bodiless) == record.truncated, (sent, raw)
