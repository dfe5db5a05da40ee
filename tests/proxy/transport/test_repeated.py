"""A head that comes again comes to the same as the first time, also where everything around it has changed."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway_proxy.configuration.config import merge_patch
from badgateway_proxy.transport.repeated import LONGEST, MOST, Repeated
from tests.support.answers import read_answer
from tests.support.peers import healthy, says
from tests.support.wire import RawUpstream, raw_upstream, running_hop

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n"
ID = re.compile(rb"(?i)(x-request-id: )[^\r]*")


def without_id(head: bytes) -> bytes:
    return ID.sub(rb"\1", head)


def test_few_and_short_heads_are_kept() -> None:
    repeated: Repeated[int] = Repeated()
    for _ in range(2):
        repeated.keep(b"x" * (LONGEST + 1), 1)
    assert not repeated
    for number in range(3 * MOST):
        for _ in range(2):
            repeated.keep(b"%d" % number, number)
        assert len(repeated) <= MOST
        assert repeated[b"%d" % number] == number


def test_a_head_that_comes_once_is_not_kept() -> None:
    repeated: Repeated[int] = Repeated()
    for number in range(3 * MOST):
        repeated.keep(b"%d" % number, number)
    assert not repeated


# -- requests ------------------------------------------------------------------------------------------

FIELDS = st.lists(
    st.sampled_from([
        b"Accept: text/html", b"Connection: close", b"Connection: x-secret", b"X-Secret: 1", b"X-Request-ID: mine",
        b"Via: 1.1 other", b"X-Forwarded-For: 1.2.3.4", b"TE: trailers", b"Expect: 100-continue", b"Content-Length: 0",
        b"Host: b", b"Upgrade: websocket", b"Transfer-Encoding: gzip",
    ]),
    max_size=4,
)  # fmt: skip
LINES = st.sampled_from([
    b"GET /x HTTP/1.1", b"HEAD / HTTP/1.1", b"GET http://h/y HTTP/1.1", b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1",
    b"DELETE /x HTTP/1.1", b"GET x HTTP/1.1",
])  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=LINES, fields=FIELDS)
async def test_a_request_that_comes_again_is_served_like_the_first(line: bytes, fields: list[bytes]) -> None:
    request = b"\r\n".join([line, b"Host: a", *fields, b"", b""])
    async with raw_upstream(says(HEAD + b"\r\nok", then="again")) as upstream, running_hop(upstream.address) as hop:
        answers = []
        for _ in range(4):
            async with hop.client() as client:
                # the first on each connection is served by its task; these are not
                await client.send(b"GET /warm HTTP/1.1\r\nHost: a\r\n\r\n")
                await client.answer()
                await client.send(request)
                await hop.records(2)
                with contextlib.suppress(ConnectionError):
                    await client.send(b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answers.append(_dateless(await client.all()))
                hop.hop.recorder.clear()
        seen = [without_id(head) for head in upstream.heads if not head.startswith((b"GET /warm", b"GET /end"))]
    assert len(set(answers)) == 1
    assert len(set(seen)) <= 1


def _dateless(data: bytes) -> bytes:
    return re.sub(rb"(?i)date: [^\r]*|127\.0\.0\.1:\d+|\"(request_id|instance)\": ?\"[^\"]*\"", b"", without_id(data))


async def test_each_exchange_has_an_id_of_its_own() -> None:
    async with raw_upstream(says(HEAD + b"\r\nok", then="again")) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            for _ in range(4):
                await client.send(GET)
                await client.answer()
        records = await hop.records(4)
        assert len(hop.hop.repeated) == 1
    ids = [record["request_id"] for record in records]
    assert len(set(ids)) == 4
    assert [ID.search(head)[0].decode().partition(": ")[2] for head in upstream.heads] == ids  # type: ignore[index]


async def test_what_a_new_configuration_refuses_is_refused_though_it_passed_before() -> None:
    long = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: %b\r\n\r\n" % (b"x" * 400)
    async with (
        raw_upstream(says(HEAD + b"\r\nok", then="again")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        for _ in range(4):
            await client.send(long)
            await client.answer()
        assert len(hop.hop.repeated) == 1
        patch = {"limits": {"request_header": 390, "request_headers_total": 400}}
        hop.hop.apply_config(merge_patch(hop.hop.config, patch))
        await client.send(long)
        assert read_answer(await client.until(b"\r\n\r\n")).status == 431


async def test_behind_the_beginning_of_a_head_the_same_bytes_are_its_end() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            for _ in range(3):
                await client.send(GET)
                await client.answer()
            await client.send(b"GET /other HTTP/1.1\r\nX-A: ")
            assert await client.silent(0.02)
            await client.send(GET)
            await client.answer()
            await client.send(GET)
            await client.answer()
        targets = [head.split()[1] for head in upstream.heads]
    assert targets == [b"/", b"/", b"/", b"/other", b"/"]


# -- responses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "status", "error"),
    [
        pytest.param(b"\r\nok", 200, None, id="the same"),
        pytest.param(b"\r\nno", 200, None, id="another body"),
        pytest.param(b"\r\no", 200, "http_response_incomplete", id="cut short"),
        pytest.param(b"\r\nok more", 200, None, id="surplus bytes"),
        pytest.param(b"\r\n", 200, "http_response_incomplete", id="no body"),
        pytest.param(b"X-B: 2\r\n\r\nok", 200, None, id="another head"),
    ],
)
async def test_a_response_whose_head_came_before_is_read_for_what_it_is(
    second: bytes, status: int, error: str | None
) -> None:
    answers = iter([HEAD + b"\r\nok"] * 3 + [HEAD + second])

    async def script(upstream: RawUpstream, reader: object, writer: object) -> None:
        for answer in answers:
            await upstream.read_head(reader)  # type: ignore[arg-type]
            writer.write(answer)  # type: ignore[attr-defined]
            await writer.drain()  # type: ignore[attr-defined]

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            for _ in range(3):
                await client.send(GET)
                await client.answer()
            await client.send(GET)
            await client.until(b"\r\n\r\n")
        *_, record = await hop.records(4)
    assert (record["status"], record["error"]) == (status, error)
    assert record["truncated"] == (error is not None)
    body = second.partition(b"\r\n\r\n" if b"X-B" in second else b"\r\n")[2][:2]
    assert record["response_bytes"] == len(body)


async def test_a_response_to_head_whose_head_came_before_has_no_body() -> None:
    async with raw_upstream(says(HEAD + b"\r\nok", then="again")) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            for _ in range(3):
                await client.send(GET)
                assert await client.answer() == b"ok"
            await client.send(GET.replace(b"GET", b"HEAD"))
            await client.until(b"\r\n\r\n")
        assert (await hop.records(4))[-1]["response_bytes"] == 0


async def test_a_head_that_closes_the_connection_does_so_each_time() -> None:
    closing = HEAD + b"Connection: close\r\n\r\nok"
    async with raw_upstream(says(closing, then="again")) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            for _ in range(4):
                await client.send(GET)
                await client.answer()
        assert upstream.connections == 4
