"""Where an exchange asks its policies: deadlines, retries, the breaker, loops, and a configuration that changes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import Answer, read_answer, read_answers
from tests.support.peers import OK, Script, full_backlog, healthy, refused_address, reset, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

NOW = {"base": "0s", "max": "0s"}


def post(body: bytes = b"hello") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def status(code: int, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {code} X", "Content-Length: 4", *lines, "", "oops"]
    return "\r\n".join(head).encode()


async def until_gone(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the head, then stay silent until the hop hangs up, and note that it did."""
    await upstream.read_head(reader)
    try:
        while await reader.read(65536):
            pass
    finally:
        upstream.heads.append(b"gone")


def breaker_of(hop: RunningHop) -> dict[str, Any]:
    return hop.hop.breaker.snapshot(hop.hop.clock.now())


# -- deadlines -----------------------------------------------------------------------------------------


async def test_no_connection_in_time_is_a_504() -> None:
    async with full_backlog() as address, running_hop(address, timeouts={"connect": "60ms"}) as hop:
        answer = read_answer(await hop.get())
        assert (answer.status, answer.error) == (504, "connection_timeout")
        record = await hop.record()
        assert record["attempts"][0]["phase"] == "connect"
        assert 0.055 <= record["attempts"][0]["phases"]["connect"] < 1


async def test_a_refused_connection_is_a_502_that_names_the_address() -> None:
    with refused_address() as address:
        async with running_hop(address) as hop:
            answer = read_answer(await hop.get())
            assert (answer.status, answer.error) == (502, "connection_refused")
            assert answer.members[-1].next_hop == address
            assert address in answer.problem["details"]
            assert (await hop.record())["attempts"][0]["phase"] == "connect"


async def test_a_peer_that_hangs_is_a_504_and_is_hung_up_on() -> None:
    async with (
        raw_upstream(until_gone) as upstream,
        running_hop(upstream.address, timeouts={"first_byte": "60ms"}) as hop,
    ):
        answer = read_answer(await hop.get())
        assert (answer.status, answer.error) == (504, "http_response_timeout")
        assert answer.problem["details"] == "no whole response head within 0.06 s"
        await until(lambda: upstream.heads[-1] == b"gone")
        (attempt,) = (await hop.record())["attempts"]
        assert (attempt["phase"], attempt["error"]) == ("wait", "http_response_timeout")
        assert 0.055 <= attempt["phases"]["wait"] < 1


@pytest.mark.parametrize(
    "head",
    [OK[:20] + b"A" * 500, b"H" * 500, b"HTTP/1.1 100 Continue\r\n\r\n" * 20, b"\r\n" * 250],
    ids=["header", "garbage-like", "interim responses", "empty lines"],
)
async def test_a_drip_of_head_bytes_does_not_renew_its_deadline(head: bytes) -> None:
    """nginx, HAProxy, Envoy, Caddy and Traefik hold it to one deadline; Varnish and Apache renew theirs."""

    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        for n in range(0, len(head), 4):
            writer.write(head[n : n + 4])
            await asyncio.sleep(0.01)

    async with raw_upstream(drips) as upstream, running_hop(upstream.address, timeouts={"first_byte": "80ms"}) as hop:
        answer = read_answers(await hop.get())[-1]
        if head.startswith(b"HH"):
            assert answer.status == 502  # llhttp sees at the second byte that it is none
        else:
            assert (answer.status, answer.error) == (504, "http_response_timeout")


@pytest.mark.parametrize("sent", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
async def test_an_interim_response_is_not_the_head(sent: bytes) -> None:
    async with (
        raw_upstream(says(sent, then="hang")) as upstream,
        running_hop(upstream.address, timeouts={"first_byte": "60ms"}) as hop,
    ):
        answer = read_answers(await hop.get())[-1]
        assert (answer.status, answer.error) == (504, "http_response_timeout")
        assert (await hop.record())["attempts"][0]["status"] is None


async def test_body_bytes_renew_theirs() -> None:
    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.04)
            writer.write(b"x")

    async with (
        raw_upstream(drips) as upstream,
        running_hop(upstream.address, timeouts={"between_bytes": "250ms", "first_byte": "250ms"}) as hop,
    ):
        assert read_answer(await hop.get()).data == b"xxxxxxxx"
        record = await hop.record()
        assert record["duration"] > 0.3
        assert record["attempts"][0]["phases"]["receive"] > 0.3


@pytest.mark.parametrize("headers", [False, True])
async def test_the_whole_exchange_has_a_deadline(headers: bool) -> None:
    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        if headers:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while headers:
            writer.write(b"x")
            await asyncio.sleep(0.01)
        await reader.read()

    async with raw_upstream(drips) as upstream, running_hop(upstream.address, timeouts={"request": "90ms"}) as hop:
        answer = read_answer(await hop.get())
        record = await hop.record()
        assert (record["error"], record["details"]) == (
            "http_response_timeout",
            "the exchange was not over within 0.09 s",
        )
        assert (answer.status, record["truncated"]) == ((200, True) if headers else (504, False))
        assert 0.085 <= record["duration"] < 1


async def test_the_whole_deadline_holds_for_a_client_that_is_slow_but_steady() -> None:
    async def pours(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    async with (
        raw_upstream(pours) as upstream,
        running_hop(upstream.address, timeouts={"request": "100ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while await client.packet():
            client.packets.clear()
            await asyncio.sleep(0.002)  # slower than the endpoint, so that something is always at hand
        record = await hop.record()
        assert (record["error"], record["truncated"]) == ("http_response_timeout", True)
        assert 0.095 <= record["duration"] < 2


# -- retries -------------------------------------------------------------------------------------------


class Scripts:
    """Several endpoints, each with a script; how often each was connected to."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.upstreams: list[RawUpstream] = []

    async def __aenter__(self) -> Scripts:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stack.aclose()

    async def add(self, *scripts: Script) -> list[str]:
        for script in scripts:
            self.upstreams.append(await self.stack.enter_async_context(raw_upstream(script)))
        return [upstream.address for upstream in self.upstreams]

    @property
    def connections(self) -> list[int]:
        return [upstream.connections for upstream in self.upstreams]


async def asked(hop: RunningHop, request: bytes | None = None) -> Answer:
    return read_answer(await hop.get() if request is None else await hop.send(request))


@pytest.mark.parametrize("script", [says(), says(then="reset"), says(b"HTTP/1.1 2")], ids=["FIN", "RST", "half a head"])
async def test_nothing_is_tried_again_unless_configured(script: Script) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(script, healthy)
        async with running_hop(*addresses) as hop:
            assert (await asked(hop)).status == 502
            assert endpoints.connections == [1, 0]


async def test_the_next_attempt_goes_elsewhere() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 3, "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data) == (200, b"ok")
            assert answer.members[-1].next_hop == addresses[1]
            record = await hop.record()
            assert [(attempt["endpoint"], attempt["error"]) for attempt in record["attempts"]] == [
                (addresses[0], "connection_terminated"),
                (addresses[1], None),
            ]
            assert (record["error"], record["status"]) == (None, 200)
            assert record["attempts"][1]["started"] >= record["attempts"][0]["phases"]["wait"]
            assert hop.hop.recorder.totals()["retries"] == 1


async def test_as_many_attempts_as_allowed_and_then_the_last_error() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), says(b"garbage\r\n\r\n"))
        retry = {"attempts": 3, "on": ["gateway-error"], "backoff": NOW}
        async with running_hop(*addresses, retry=retry) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.error) == (502, "connection_terminated")
            assert endpoints.connections == [2, 1]
            assert len((await hop.record())["attempts"]) == 3


async def test_a_refused_connection_is_tried_elsewhere() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy)
        with refused_address() as address:
            async with running_hop(address, *addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
                assert (await asked(hop)).status == 200


@pytest.mark.parametrize(("methods", "expected"), [(None, 502), ("any", 200), (["POST"], 200)])
async def test_a_post_is_tried_again_only_where_told(methods: Any, expected: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": NOW} | ({} if methods is None else {"methods": methods})
        async with running_hop(*addresses, retry=retry) as hop:
            assert (await asked(hop, post())).status == expected
            assert endpoints.connections == [1, int(expected == 200)]


async def test_a_body_that_was_not_kept_is_not_sent_twice() -> None:
    async def dies_in_the_body(
        upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await upstream.read_head(reader)
        await reader.readexactly(3)
        reset(writer)

    async with Scripts() as endpoints:
        addresses = await endpoints.add(dies_in_the_body, healthy)
        async with (
            running_hop(*addresses, retry={"attempts": 2, "methods": "any", "backoff": NOW}) as hop,
            hop.client() as client,
        ):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
            await until(lambda: endpoints.connections[0])
            await client.send(b"abc")
            assert read_answer(await client.until(b"}\n")).status == 502
            assert endpoints.connections == [1, 0]


async def test_nothing_is_tried_again_once_the_head_is_out() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            assert (await asked(hop)).body == b"abc"
            assert endpoints.connections == [1, 0]


@pytest.mark.parametrize(
    ("on", "code", "expected"),
    [("gateway-error", 503, 200), ("gateway-error", 500, 500), ("5xx", 500, 200), ("reset", 503, 503)],
)
async def test_statuses_are_tried_again_where_told(on: str, code: int, expected: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(code)), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": [on], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert answer.status == expected
            record = await hop.record()
            assert [attempt["status"] for attempt in record["attempts"]] == [code, 200][: 1 + (expected == 200)]
            assert (record["error"], record["generated"]) == (None, False)


async def test_the_last_status_is_relayed_when_all_fail() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503)), says(status(502)))
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data, answer.error) == (502, b"oops", None)
            assert answer.members[-1].received_status == 502


async def test_an_endpoint_that_asks_for_patience_is_not_tried_at_once() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503, "Retry-After: 7")), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.one("Retry-After")) == (503, b"7")


async def test_hints_from_an_attempt_that_failed_went_out_and_the_next_still_answers() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(hints, then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
            interim, final = read_answers(await hop.get())
            assert (interim.status, final.status) == (103, 200)


async def test_no_attempt_begins_after_the_whole_deadline() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": {"base": "500ms", "max": "1s", "jitter": 0}}
        async with running_hop(*addresses, retry=retry, timeouts={"request": "200ms"}) as hop:
            assert (await asked(hop)).status == 502
            assert endpoints.connections == [1, 0]


async def test_a_client_that_leaves_in_the_pause_ends_it() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": {"base": "20s", "max": "20s", "jitter": 0}}
        async with running_hop(*addresses, retry=retry) as hop:
            async with hop.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda: endpoints.connections[0])
                await until(lambda: hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 1)
            record = await hop.record()
            assert (record["client_gone"], len(record["attempts"])) == (True, 1)
            assert endpoints.connections == [1, 0]


# -- balancing -----------------------------------------------------------------------------------------


async def test_endpoints_take_turns() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy, healthy, healthy)
        async with running_hop(*addresses) as hop:
            for _ in range(6):
                await hop.get()
            assert [len(upstream.heads) for upstream in endpoints.upstreams] == [2, 2, 2]


# -- the breaker ---------------------------------------------------------------------------------------

TOUCHY = {"window": {"size": 4}, "minimum_calls": 4, "open_for": "30s", "permitted_probes": 2}


async def test_an_open_breaker_refuses_without_a_connection() -> None:
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            assert (await asked(hop)).status == 502
        answer = await asked(hop)
        assert (answer.status, answer.error) == (503, "destination_unavailable")
        assert answer.one("Retry-After") in (b"30", b"29")
        assert answer.problem["details"] == "circuit open"
        assert upstream.connections == 4
        record = (await hop.records(5))[-1]
        assert (record["breaker"], record["attempts"], record["generated"]) == ("open", [], True)
        assert record["retry_after"] in (30, 29)


async def test_it_lets_probes_through_when_its_time_is_up_and_closes() -> None:
    broken = True

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if broken:
            reset(writer)
        else:
            await healthy(upstream, reader, writer)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        assert breaker_of(hop)["state"] == "open"
        broken = False
        hop.hop.clock.advance(29)
        assert (await asked(hop)).status == 503
        hop.hop.clock.advance(1)
        assert (await asked(hop)).status == 200
        assert breaker_of(hop)["state"] == "half_open"
        assert (await asked(hop)).status == 200
        assert breaker_of(hop)["state"] == "closed"
        states = [record["breaker"] for record in await hop.records(7)]
        assert states == ["closed"] * 4 + ["open", "half_open", "half_open"]


async def test_no_more_probes_than_permitted_at_a_time() -> None:
    go = asyncio.Event()

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        if upstream.connections <= 4:
            reset(writer)
        else:
            await go.wait()
            writer.write(OK)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        hop.hop.clock.advance(30)
        probes = [asyncio.create_task(asked(hop)) for _ in range(2)]
        await until(lambda: upstream.connections == 6)
        answer = await asked(hop)
        assert (answer.status, answer.one("Retry-After")) == (503, b"1")
        assert upstream.connections == 6
        go.set()
        assert [(await probe).status for probe in probes] == [200, 200]
        assert breaker_of(hop)["state"] == "closed"


async def test_a_client_that_leaves_gives_its_probe_back() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if upstream.connections <= 4:
            reset(writer)
        elif upstream.connections <= 6:
            await until_gone(upstream, reader, writer)
        else:
            await healthy(upstream, reader, writer)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        hop.hop.clock.advance(30)
        for n in range(2):
            async with hop.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda n=n: upstream.connections == 5 + n)  # type: ignore[misc]  # mypy infers no type for it
            await hop.records(5 + n)
        assert breaker_of(hop)["probes_left"] == 2
        assert [(await asked(hop)).status for _ in range(2)] == [200, 200]
        assert breaker_of(hop)["state"] == "closed"


async def test_statuses_count_and_client_errors_do_not() -> None:
    async with raw_upstream(says(status(500))) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(3):
            assert (await asked(hop)).status == 500
            assert (await asked(hop, b"GET / HTTP/3.7\r\n\r\n")).status == 505
        assert breaker_of(hop)["calls"] == 3
        assert (await asked(hop)).status == 500
        assert breaker_of(hop)["state"] == "open"


async def test_a_cut_response_is_a_failure_and_a_slow_one_is_slow() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    async with raw_upstream(says(cut)) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            assert (await asked(hop)).body == b"abc"
        assert breaker_of(hop)["state"] == "open"
    go = asyncio.Event()
    slow = {**TOUCHY, "slow_call": "20ms", "slow_call_rate": 100}
    async with raw_upstream(says(go, OK)) as upstream, running_hop(upstream.address, breaker=slow) as hop:
        answers = [asyncio.create_task(asked(hop)) for _ in range(4)]
        await until(lambda: upstream.connections == 4)
        await asyncio.sleep(0.03)  # what makes them slow
        go.set()
        assert [(await answer).status for answer in answers] == [200] * 4
        assert (breaker_of(hop)["state"], breaker_of(hop)["slow_calls"]) == ("open", 4)


async def test_every_attempt_counts_and_none_follows_once_it_is_open() -> None:
    async with raw_upstream(says(then="reset")) as upstream:
        retry = {"attempts": 10, "backoff": NOW}
        async with running_hop(upstream.address, breaker=TOUCHY, retry=retry) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.error) == (503, "destination_unavailable")
            assert upstream.connections == 4
            assert len((await hop.record())["attempts"]) == 4


async def test_forced_open_and_disabled() -> None:
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        hop.hop.breaker.force_open(hop.hop.clock.now())
        assert (await asked(hop)).status == 503
        hop.hop.breaker.disable(hop.hop.clock.now())
        assert {(await asked(hop)).status for _ in range(6)} == {502}
        states = [record["breaker"] for record in await hop.records(7)]
        assert states == ["forced_open"] + ["disabled"] * 6


# -- loops ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["1.1 lb", "1.0 cdn, 1.1 lb (comment)", "HTTP/1.1 lb"])
async def test_a_request_that_has_been_here_is_refused(via: str) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get("/", f"Via: {via}"))
        assert (answer.status, answer.error) == (502, "proxy_loop_detected")
        assert upstream.connections == 0
        assert read_answer(await hop.get("/", "Via: 1.1 cdn, 1.1 lb2")).status == 200


async def test_a_hop_before_itself_answers_at_its_second_sight_of_the_request() -> None:
    async with running_hop("127.0.0.1:1") as hop:
        itself = merge_patch(hop.hop.config, {"upstreams": [hop.address]})
        hop.hop.apply_config(itself)
        answer = read_answer(await hop.get())
        assert (answer.status, answer.members[0].error) == (502, "proxy_loop_detected")
        inner, outer = await hop.records(2)
        assert (inner["error"], outer["error"], outer["attempts"][0]["status"]) == ("proxy_loop_detected", None, 502)


# -- a changed configuration ---------------------------------------------------------------------------


async def test_a_changed_configuration_holds_for_the_next_request() -> None:
    async with Scripts() as endpoints:
        hangs, works = await endpoints.add(until_gone, healthy)
        async with running_hop(hangs, timeouts={"first_byte": "5s"}) as hop, hop.client() as old:
            await old.send(b"GET /old HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: endpoints.connections[0])
            hop.hop.apply_config(merge_patch(hop.hop.config, {"timeouts": {"first_byte": "60ms"}}))
            assert (await asked(hop)).status == 504
            hop.hop.apply_config(merge_patch(hop.hop.config, {"upstreams": [works], "retry": {"attempts": 2}}))
            assert (await asked(hop)).status == 200
            hop.hop.apply_config(merge_patch(hop.hop.config, {"limits": {"request_line": 20, "request_body": 3}}))
            assert (await asked(hop, b"GET /" + b"x" * 30 + b" HTTP/1.1\r\nHost: a\r\n\r\n")).status == 414
            assert (await asked(hop, post(b"four"))).status == 413
            assert await old.silent(0.01)
            hop.hop.reset()
            assert hop.hop.config.upstreams == (hangs,)


async def test_a_changed_patience_with_clients_holds_for_the_next_connection() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        hop.hop.apply_config(merge_patch(hop.hop.config, {"timeouts": {"client_idle": "30ms", "client_head": "30ms"}}))
        async with hop.client() as client:
            assert await client.all() == b""
        assert read_answer(await hop.send(b"GET")).status == 408
