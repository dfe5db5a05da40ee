"""Where an exchange asks which endpoint to send to, and tells what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import read_answer
from tests.support.exchanges import NOW, Scripts, asked, status
from tests.support.peers import OK, Script, healthy, refused_address, says
from tests.support.processes import until
from tests.support.wire import RunningHop, running_hop

FAILS = says(status(500), then="again")
NO_PANIC = {"panic_threshold": 0}


def change(hop: RunningHop, **patch: Any) -> None:
    hop.hop.apply_config(merge_patch(hop.hop.config, patch))


def states(hop: RunningHop) -> list[str]:
    return [each["state"] for each in hop.hop.state()["endpoints"]]


async def endpoints_asked(hop: RunningHop, count: int, *headers: str) -> Counter[str]:
    """Which endpoints answer so many requests, each on a connection of its own."""
    answers = [read_answer(await hop.get("/", *headers)) for _ in range(count)]
    return Counter(str(answer.members[-1].next_hop) for answer in answers)


# -- which one -----------------------------------------------------------------------------------------


async def test_weights_are_shares_of_the_requests() -> None:
    async with Scripts() as endpoints:
        one, two = await endpoints.add(healthy, healthy)
        async with running_hop(one, two, balancing={"weights": {two: 3}}) as hop:
            assert await endpoints_asked(hop, 8) == {one: 2, two: 6}


async def test_the_least_busy_gets_the_next_request() -> None:
    """The first endpoint has a request under way that does not end, so that all others go to the second."""
    async with Scripts() as endpoints:
        one, two = await endpoints.add(says(then="hang"), healthy)
        balancing = {"policy": "least_request", "selection": "full_scan"}
        async with running_hop(one, two, balancing=balancing) as hop, hop.client() as stuck:
            await stuck.get()
            await until(lambda: endpoints.upstreams[0].heads)
            assert [each["active"] for each in hop.hop.state()["endpoints"]] == [1, 0]
            assert await endpoints_asked(hop, 6) == {two: 6}
            assert [each["active"] for each in hop.hop.state()["endpoints"]] == [1, 0]


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_what_is_active_is_counted_down_however_it_ends(ending: Any) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(OK[:-1], then=ending))
        async with running_hop(*addresses, retry={"attempts": 3, "on": ["5xx"], "backoff": NOW}) as hop:
            await hop.get()
            await hop.record()
            assert hop.hop.state()["endpoints"][0]["active"] == 0


async def test_what_belongs_together_goes_to_one_endpoint_and_elsewhere_when_that_fails() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy, healthy, healthy)
        balancing = {"policy": "maglev", "hash_on": "header:X-User"}
        async with running_hop(*addresses, balancing=balancing) as hop:
            homes: list[str] = []
            for user in range(40):  # so many that no endpoint is left without one
                home = await endpoints_asked(hop, 2, f"X-User: {user}")
                assert len(home) == 1
                homes += home
            assert set(homes) == set(addresses)
            change(hop, balancing={"drain": [homes[0]]})
            (elsewhere,) = await endpoints_asked(hop, 3, "X-User: 0")
            assert elsewhere != homes[0]
            others = [user for user, home in enumerate(homes) if home != homes[0]]
            stayed = [
                user for user in others if [homes[user]] == list(await endpoints_asked(hop, 1, f"X-User: {user}"))
            ]
            assert len(stayed) > 0.7 * len(others)  # with a modulo, half of them


# -- sticky sessions -----------------------------------------------------------------------------------


async def test_a_cookie_keeps_a_client_at_its_endpoint() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy, healthy)
        async with running_hop(*addresses, balancing={"sticky_cookie": "lb"}) as hop:
            first = await asked(hop)
            given = first.one("Set-Cookie")
            assert given is not None
            assert given.startswith(b"lb=")
            assert given.endswith(b"; Path=/; HttpOnly; SameSite=Lax")
            cookie = "Cookie: theme=dark; " + given.partition(b";")[0].decode()
            again = read_answer(await hop.get("/", cookie))
            assert again.one("Set-Cookie") is None
            assert await endpoints_asked(hop, 5, cookie) == {str(first.members[-1].next_hop): 5}
            assert await endpoints_asked(hop, 6) == dict.fromkeys(addresses, 3)


async def test_a_client_whose_endpoint_is_gone_gets_another_and_another_cookie() -> None:
    async with Scripts() as endpoints:
        (works,) = await endpoints.add(healthy)
        with refused_address() as address:
            balancing = {"sticky_cookie": "lb", "policy": "maglev"}
            retry = {"attempts": 2, "backoff": NOW}
            async with running_hop(address, works, balancing=balancing, retry=retry) as hop:
                old = next(each for each in hop.hop.endpoints.members if each.endpoint.text == address)
                assert hop.hop.affinity is not None
                cookie = hop.hop.affinity.cookie_for(old, []).split(b"Set-Cookie: ")[1].partition(b";")[0].decode()
                answer = read_answer(await hop.get("/", f"Cookie: {cookie}"))
                assert (answer.status, len((await hop.record())["attempts"])) == (200, 2)
                moved = answer.one("Set-Cookie")
                assert moved is not None
                assert cookie.encode() not in moved
                change(hop, balancing={"drain": [address]})
                answer = read_answer(await hop.get("/", f"Cookie: {cookie}"))
                assert answer.one("Set-Cookie") == moved
                assert len((await hop.records(2))[1]["attempts"]) == 1


async def test_a_response_that_the_hop_makes_itself_binds_nobody() -> None:
    with refused_address() as address:
        async with running_hop(address, balancing={"sticky_cookie": "lb"}) as hop:
            assert (await asked(hop)).one("Set-Cookie") is None


# -- draining ------------------------------------------------------------------------------------------


async def test_a_draining_endpoint_finishes_what_it_has_and_gets_nothing_new() -> None:
    go = asyncio.Event()
    async with Scripts() as endpoints:
        slow = says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", go, b"slow")
        one, two = await endpoints.add(slow, healthy)
        async with running_hop(one, two) as hop, hop.client() as client:
            await client.get()
            await client.until(b"\r\n\r\n")
            change(hop, balancing={"drain": [one]})
            assert states(hop) == ["draining", "healthy"]
            assert await endpoints_asked(hop, 4) == {two: 4}
            assert [each["active"] for each in hop.hop.state()["endpoints"]] == [1, 0]
            go.set()
            assert await client.answer() == b"slow"
            assert [each["active"] for each in hop.hop.state()["endpoints"]] == [0, 0]
            change(hop, balancing={"drain": []})
            assert states(hop) == ["healthy", "healthy"]


async def test_addresses_change_while_the_hop_runs_and_what_is_known_of_others_stays() -> None:
    async with Scripts() as endpoints:
        bad, good, new = await endpoints.add(FAILS, healthy, healthy)
        outlier = {"enabled": True, "consecutive_5xx": 1}
        async with running_hop(bad, good, outlier=outlier) as hop:
            await endpoints_asked(hop, 2)
            assert states(hop) == ["ejected", "healthy"]
            change(hop, upstreams=[new, bad])
            assert states(hop) == ["healthy", "ejected"]
            assert await endpoints_asked(hop, 3) == {new: 3}


# -- who is fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [FAILS, says(then="reset"), says(b"SSH-2.0\r\n")], ids=["500", "reset", "garbage"])
async def test_an_endpoint_whose_requests_fail_is_ejected_and_comes_back_by_the_labs_clock(script: Script) -> None:
    async with Scripts() as endpoints:
        bad, *good = await endpoints.add(script, healthy, healthy)
        async with running_hop(bad, *good, outlier={"enabled": True, "consecutive_5xx": 2}) as hop:
            assert [read_answer(await hop.get()).status < 500 for _ in range(6)].count(False) == 2
            assert states(hop) == ["ejected", "healthy", "healthy"]
            assert await endpoints_asked(hop, 6) == dict.fromkeys(good, 3)
            hop.hop.clock.advance(29.0)
            assert (await endpoints_asked(hop, 2)).keys() == set(good)
            hop.hop.clock.advance(1.0)
            assert [read_answer(await hop.get()).status < 500 for _ in range(3)].count(False) == 1
            assert states(hop)[0] == "healthy"


async def test_a_client_that_leaves_says_nothing_about_the_endpoint() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="hang"), healthy)
        async with running_hop(*addresses, outlier={"enabled": True, "consecutive_5xx": 1}) as hop:
            async with hop.client() as client:
                await client.get()
                await until(lambda: endpoints.connections[0])
            await hop.record()
            assert states(hop) == ["healthy", "healthy"]


async def test_nobody_left_is_a_503_that_says_why_and_until_when() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(FAILS, healthy)
        outlier = {"enabled": True, "consecutive_5xx": 1}
        balancing = NO_PANIC | {"drain": [addresses[1]]}
        async with running_hop(*addresses, outlier=outlier, balancing=balancing) as hop:
            assert (await asked(hop)).status == 500
            answer = await asked(hop)
            assert (answer.status, answer.error) == (503, "destination_unavailable")
            assert answer.members[-1].next_hop is None
            assert answer.problem["details"] == "no healthy endpoint: 1 ejected, 1 draining"
            assert answer.one("Retry-After") in (b"30", b"29")
            record = (await hop.records(2))[1]
            assert (record["attempts"], record["generated"]) == ([], True)
            assert endpoints.connections == [1, 0]


async def test_in_a_panic_the_ejected_are_asked_too() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(FAILS, FAILS)
        outlier = {"enabled": True, "consecutive_5xx": 1, "max_ejection_percent": 100.0}
        async with running_hop(*addresses, outlier=outlier) as hop:
            assert [(await asked(hop)).status for _ in range(4)] == [500] * 4
            assert states(hop) == ["ejected", "ejected"]
            assert hop.hop.state()["panic"] is True


async def test_a_reset_lets_everybody_back() -> None:
    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(Scripts())
        addresses = await endpoints.add(FAILS, healthy)
        outlier = {"enabled": True, "consecutive_5xx": 1}
        hop = await stack.enter_async_context(running_hop(*addresses, outlier=outlier))
        await asked(hop)
        assert states(hop) == ["ejected", "healthy"]
        hop.hop.reset()
        assert states(hop) == ["healthy", "healthy"]
