"""What a hop that traces tells the next one, and what spans it has: over raw sockets, with an exporter in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from tests.support.answers import read_answer
from tests.support.exchanges import NOW, Scripts, asked, status, until_gone
from tests.support.peers import OK, field, healthy, refused_address, says
from tests.support.processes import until
from tests.support.tracedhop import traced_hop
from tests.support.wire import raw_upstream, running_hop

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = (f"traceparent: 00-{TRACE}-{PARENT}-{flags}" for flags in ("01", "00"))
RETRIES: dict[str, Any] = {"attempts": 2, "on": ["connect-failure", "5xx"], "backoff": NOW}


def sent(head: bytes) -> str:
    """The traceparent of a head; there is one at most."""
    assert head.lower().count(b"\r\ntraceparent:") <= 1
    return (field(head, b"traceparent") or b"").decode()


def told(span: ReadableSpan) -> str:
    """The traceparent of what belongs to a span that is recorded."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


# -- what goes on ---------------------------------------------------------------------------------------


async def test_a_trace_is_continued() -> None:
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address) as traced:
        await traced.hop.get("/", SAMPLED, "tracestate: a=1", "tracestate: b=2")
        server, (client,) = await traced.one()
        assert server.context is not None
        assert (f"{server.context.trace_id:032x}", parent(server)) == (TRACE, PARENT)
        assert server.parent is not None
        assert server.parent.is_remote
        assert parent(client) == f"{server.context.span_id:016x}"
        assert sent(upstream.heads[0]) == told(client)
        assert upstream.heads[0].count(b"tracestate: ") == 2
        assert (await traced.hop.record())["trace_id"] == TRACE


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["traceparent: 00-nonsense-01"],
        [SAMPLED, SAMPLED],
        [f"traceparent: 00-{'0' * 32}-{PARENT}-01"],
        [f"TraceParent: ff-{TRACE}-{PARENT}-01"],
    ],
)
async def test_otherwise_one_begins_here(lines: list[str]) -> None:
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address) as traced:
        await traced.hop.get("/", *lines, "tracestate: a=1")
        server, (client,) = await traced.one()
        assert server.parent is None
        assert TRACE not in told(server)
        assert sent(upstream.heads[0]) == told(client)
        assert b"tracestate" not in upstream.heads[0].lower()
        assert (await traced.hop.record())["trace_id"] == told(server)[3:35]


async def test_a_trace_that_its_beginner_does_not_record_goes_on_so() -> None:
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address) as traced:
        await traced.hop.get("/", UNSAMPLED)
        assert (await traced.hop.record())["trace_id"] == TRACE
        version, trace_id, span_id, flags = sent(upstream.heads[0]).split("-")
        assert (version, trace_id, flags) == ("00", TRACE, "00")
        assert span_id != PARENT
        await traced.spans(0)


async def test_of_traces_that_begin_here_the_share_asked_for_is_recorded() -> None:
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address, sampling_ratio=0) as traced:
        await traced.hop.get()
        await traced.hop.get("/", SAMPLED)
        await traced.hop.records(2)
        await traced.spans(1)
        assert [sent(head)[-2:] for head in upstream.heads] == ["00", "01"]


@pytest.mark.parametrize("lines", [[], [SAMPLED], [SAMPLED, SAMPLED]])
async def test_heads_that_come_again_do_not_bring_an_earlier_exchanges_trace(lines: list[str]) -> None:
    """From the third time on, a head is remembered; what stands in it of the trace must not be."""
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address) as traced, traced.hop.client() as client:
        for number in range(1, 7):
            await client.send("\r\n".join(["GET / HTTP/1.1", "Host: a", *lines, "", ""]).encode())
            assert await client.answer() == b"ok"
            await traced.hop.records(number)
        servers, clients = await traced.spans(6)
        assert traced.hop.hop.repeated  # it was
        values = [sent(head) for head in upstream.heads]
        assert values == [told(each) for each in clients]
        assert len({value[36:52] for value in values}) == 6
        assert len({told(each)[3:35] for each in servers}) == (1 if lines == [SAMPLED] else 6)


@pytest.mark.parametrize(
    "lines", [[], [SAMPLED, "tracestate: a=1"], ["TraceParent: nonsense", "tracestate: a=1"], [SAMPLED, SAMPLED]]
)
async def test_a_hop_that_does_not_trace_lets_all_pass_untouched(lines: list[str]) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        for _ in range(3):
            await hop.get("/", *lines)
        for head in upstream.heads:
            assert [line for line in head.decode().split("\r\n") if line.lower().startswith("trace")] == lines
        assert {record["trace_id"] for record in await hop.records(3)} == {None}


# -- what spans there are -------------------------------------------------------------------------------


async def test_each_try_has_a_span_that_its_endpoint_is_told() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503)), healthy)
        async with traced_hop(*addresses, retry=RETRIES) as traced:
            assert (await asked(traced.hop)).status == 200
            server, (failed, again) = await traced.one()
            assert server.status.status_code is StatusCode.UNSET
            assert failed.status.status_code is StatusCode.ERROR
            assert again.attributes is not None
            assert again.attributes["http.request.resend_count"] == 1
            assert [sent(each.heads[0]) for each in endpoints.upstreams] == [told(failed), told(again)]
            assert parent(failed) == parent(again) == told(server)[36:52]


async def test_what_failed_says_so() -> None:
    with refused_address() as nobody:
        async with traced_hop(nobody) as traced:
            assert (await asked(traced.hop)).status == 502
            server, (client,) = await traced.one()
            for span in (server, client):
                assert span.attributes is not None
                assert span.attributes["error.type"] == "connection_refused"
                assert span.status.status_code is StatusCode.ERROR
                assert span.status.description == f"connect to {nobody} refused"
            assert client.events == ()


async def test_hedges_are_spans_beside_each_other() -> None:
    hedged = {**RETRIES, "per_try_timeout": "80ms", "hedge_on_per_try_timeout": True}
    async with Scripts() as endpoints:
        slow, fast = await endpoints.add(until_gone, healthy)
        async with traced_hop(slow, fast, retry=hedged) as traced:
            assert (await asked(traced.hop)).status == 200
            _, (loser, winner) = await traced.one()
            assert [sent(each.heads[0]) for each in endpoints.upstreams] == [told(loser), told(winner)]
            assert loser.start_time is not None
            assert loser.end_time is not None
            assert winner.start_time is not None
            assert loser.start_time < winner.start_time < loser.end_time
            assert loser.status.status_code is StatusCode.UNSET


async def test_a_cache_hit_asks_nobody() -> None:
    fresh = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"
    async with raw_upstream(says(fresh)) as upstream, traced_hop(upstream.address, cache={"enabled": True}) as traced:
        for _ in range(2):
            assert read_answer(await traced.hop.get("/", SAMPLED)).data == b"ok"
        servers, clients = await traced.spans(2)
        assert [span.attributes["badgateway.cache"] for span in servers if span.attributes] == ["miss", "hit"]
        assert [parent(span) for span in clients] == [told(servers[0])[36:52]]


async def test_a_client_that_left_is_noted_with_how_far_it_had_come() -> None:
    async with raw_upstream(until_gone) as upstream, traced_hop(upstream.address) as traced:
        async with traced.hop.client() as client:
            await client.get("/")
            await until(lambda: upstream.heads)
            await asyncio.sleep(0.02)  # no policy's time: the span must be seen to have lasted
        server, (attempt,) = await traced.one()
        assert server.attributes is not None
        assert server.attributes["badgateway.client_gone"] is True
        assert server.status.status_code is StatusCode.UNSET
        assert attempt.start_time is not None
        assert attempt.end_time is not None
        assert attempt.end_time - attempt.start_time >= 15_000_000
        assert attempt.attributes is not None
        assert attempt.attributes["badgateway.phase"] == "wait"


async def test_what_never_became_a_request_has_a_span_too() -> None:
    async with raw_upstream(healthy) as upstream, traced_hop(upstream.address) as traced:
        assert read_answer(await traced.hop.send(b"GET / HTTP/9.9\r\n\r\n")).status == 505
        server, clients = await traced.one()
        assert (server.parent, clients) == (None, [])
        assert server.attributes is not None
        assert server.attributes["http.response.status_code"] == 505
        assert (await traced.hop.record())["trace_id"] == told(server)[3:35]


async def test_a_span_is_of_the_hop() -> None:
    async with raw_upstream(says(OK)) as upstream, traced_hop(upstream.address) as traced:
        await traced.hop.get()
        server, _ = await traced.one()
        assert server.resource.attributes["service.name"] == "lb"
        assert server.resource.attributes["service.namespace"] == "badgateway"
        assert server.instrumentation_scope is not None
        assert server.instrumentation_scope.name == "badgateway_proxy"
