"""Where an exchange asks its policies: balancing, loops, and a configuration that changes."""

from __future__ import annotations

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import read_answer
from tests.support.exchanges import Scripts, asked, post, until_gone
from tests.support.peers import healthy
from tests.support.processes import until
from tests.support.wire import raw_upstream, running_hop

# -- balancing -----------------------------------------------------------------------------------------


async def test_endpoints_take_turns() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy, healthy, healthy)
        async with running_hop(*addresses) as hop:
            for _ in range(6):
                await hop.get()
            assert [len(upstream.heads) for upstream in endpoints.upstreams] == [2, 2, 2]


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
            hop.hop.apply_config(merge_patch(hop.hop.config, {"timeouts": {"first_byte": "600ms"}}))
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
        hop.hop.apply_config(merge_patch(hop.hop.config, {"timeouts": {"client_idle": "600ms", "client_head": "60ms"}}))
        async with hop.client() as client:
            assert await client.all() == b""
        assert read_answer(await hop.send(b"GET")).status == 408
