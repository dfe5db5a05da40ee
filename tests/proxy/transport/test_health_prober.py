"""Active checks over real sockets: what an endpoint is asked, and what its answers and silences come to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.peers import OK, Script, field, full_backlog, healthy, refused_address, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

FAST: dict[str, Any] = {"enabled": True, "interval": "10ms", "timeout": "500ms", "fall": 2, "rise": 2}


def described(hop: RunningHop, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = hop.hop.state()["endpoints"][index]
    return found


async def test_asks_for_the_path_again_and_again_each_time_on_a_connection_of_its_own() -> None:
    check = FAST | {"path": "/ready?deep=1", "method": "HEAD"}
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address, health=check) as hop:
        await until(lambda: len(upstream.heads) >= 3)
        assert upstream.connections >= 3
        head = upstream.heads[0]
        assert head.startswith(b"HEAD /ready?deep=1 HTTP/1.1\r\n")
        assert field(head, b"host") == upstream.address.encode()
        assert field(head, b"user-agent") == b"badgateway-health-check"
        assert field(head, b"connection") == b"close"
        assert (described(hop)["state"], described(hop)["last_check"]) == ("healthy", "status 200")
        assert hop.hop.recorder.totals()["exchanges"] == 0


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (says(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"), "status 503"),
        (says(b"HTTP/1.1 204 X\r\n\r\n"), "status 204"),
        (says(then="reset"), "connection_terminated"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "http_protocol_error"),
        (says(then="hang"), "no answer within 0.5 s"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n", then="hang"), "no answer within 0.5 s"),
    ],
    ids=["503", "204", "reset", "no HTTP", "silence", "only interim"],
)
async def test_what_does_not_pass_is_unhealthy_and_says_why(script: Script, words: str) -> None:
    async with raw_upstream(script) as upstream, running_hop(upstream.address, health=FAST) as hop:
        await until(lambda: described(hop)["state"] == "unhealthy")
        assert described(hop)["last_check"] == words


async def test_what_cannot_be_connected_to_is_unhealthy() -> None:
    with refused_address() as address:
        async with running_hop(address, health=FAST) as hop:
            await until(lambda: described(hop)["state"] == "unhealthy")
            assert described(hop)["last_check"] == "connection_refused"
    async with full_backlog() as address, running_hop(address, health=FAST) as hop:
        await until(lambda: described(hop)["state"] == "unhealthy")
        assert described(hop)["last_check"] == "no answer within 0.5 s"


@pytest.mark.parametrize("statuses", [[200, 204], [204]])
async def test_which_statuses_pass_is_a_setting(statuses: list[int]) -> None:
    script = says(b"HTTP/1.1 204 X\r\n\r\n")
    async with (
        raw_upstream(script) as upstream,
        running_hop(upstream.address, health=FAST | {"statuses": statuses}) as hop,
    ):
        await until(lambda: described(hop)["last_check"] == "status 204")
        assert described(hop)["state"] == "healthy"


async def test_falls_and_rises_with_the_endpoint_and_tells_it() -> None:
    ill = asyncio.Event()

    async def moody(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(OK.replace(b"200", b"500") if ill.is_set() else OK)
        await writer.drain()

    async with raw_upstream(moody) as upstream, running_hop(upstream.address, health=FAST) as hop:
        with hop.hop.recorder.subscribe() as events:
            await until(lambda: described(hop)["last_check"] == "status 200")
            ill.set()
            await until(lambda: described(hop)["state"] == "unhealthy")
            ill.clear()
            await until(lambda: described(hop)["state"] == "healthy")
            told = [events.queue.get_nowait().as_dict() for _ in range(2)]
        one = {"hop": "lb", "endpoint": upstream.address}
        assert told == [
            one | {"to": "unhealthy", "why": "status 500"},
            one | {"to": "healthy", "why": "status 200"},
        ]


async def test_follows_the_configuration_while_it_runs() -> None:
    async with raw_upstream(says(OK)) as first, raw_upstream(says(OK)) as second, running_hop(first.address) as hop:

        def change(**patch: Any) -> None:
            hop.hop.apply_config(merge_patch(hop.hop.config, patch))

        assert described(hop)["last_check"] is None
        change(health=FAST)
        await until(lambda: first.heads)
        change(upstreams=[second.address])
        asked = len(first.heads)
        await until(lambda: len(second.heads) >= 3)
        assert len(first.heads) <= asked + 1  # one that was on its way
        change(health={"enabled": False})
        asked = len(second.heads)
        await asyncio.sleep(0.05)
        assert len(second.heads) <= asked + 1
        assert described(hop)["last_check"] is None


async def test_a_check_that_hangs_holds_up_no_other_endpoint() -> None:
    async with (
        raw_upstream(says(then="hang")) as silent,
        raw_upstream(healthy) as well,
        running_hop(silent.address, well.address, health=FAST | {"timeout": "5s"}) as hop,
    ):
        await until(lambda: len(well.heads) >= 5)
        assert len(silent.heads) == 1
        assert described(hop, 1)["state"] == "healthy"
