"""Which of its timeouts saves a client, and from what? aiohttp has one between reads, and one for all of a request."""

import aiohttp
import pytest

from badgateway.testing import Lab


async def fetch(url: str, timeout: aiohttp.ClientTimeout) -> bytes:
    """The client under test."""
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
        return await answer.read()


async def test_the_read_timeout_ends_the_wait_for_a_silent_app(badgateway: Lab) -> None:
    badgateway.fault("app", "hang")
    with pytest.raises(aiohttp.SocketTimeoutError):
        await fetch(f"{badgateway.url}/products", aiohttp.ClientTimeout(sock_read=0.3))
    [exchange] = badgateway.exchanges()
    assert exchange.client_gone


async def test_a_body_that_drips_is_never_late_for_the_read_timeout(badgateway: Lab) -> None:
    badgateway.fault("app", "bandwidth", rate=2)  # kB/s, so 10 kB take 5 s; but there is always a little more
    url = f"{badgateway.url}/bytes/10000"
    with pytest.raises(TimeoutError) as ended:
        await fetch(url, aiohttp.ClientTimeout(sock_read=0.5, total=1.5))
    assert not isinstance(ended.value, aiohttp.SocketTimeoutError)  # it was the total one
    [exchange] = badgateway.exchanges()
    assert exchange.hops[0]["response_bytes"] > 0


async def test_a_get_that_got_no_answer_is_sent_twice_without_being_asked_to(badgateway: Lab) -> None:
    """Since 3.10, aiohttp repeats an idempotent request by itself, once, if the connection ends without an answer."""
    fault = badgateway.fault("app-1", "empty_response")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await fetch(f"{badgateway.urls['app-1']}/products", aiohttp.ClientTimeout(total=5))
    assert fault.fired == 2
