"""An async client with retries around it: httpx and tenacity. Async tests use the lab just as others do."""

import httpx
import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from badgateway.testing import Lab, MakeLab


async def fetch_products(url: str, client: httpx.AsyncClient) -> int:
    """The client under test: how many products there are. Tries three times."""
    retrying = AsyncRetrying(
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.01, max=0.05),
        retry=retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            answer = await client.get(f"{url}/products")
            answer.raise_for_status()
    return len(answer.json()["products"])


async def test_a_truncated_answer_is_fetched_again(make_badgateway: MakeLab) -> None:
    lab = make_badgateway(instances=1)  # "first" counts in each instance by itself
    lab.fault("app", "truncate", first=1)
    async with httpx.AsyncClient() as client:
        assert await fetch_products(lab.url, client) == 8
    assert [exchange.truncated for exchange in lab.exchanges()] == [True, False]


async def test_it_gives_up_with_the_status_it_saw(badgateway: Lab) -> None:
    badgateway.hop("lb").patch(timeouts={"first_byte": "50ms"})
    badgateway.fault("app", "hang")
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPStatusError, match="504"):
            await fetch_products(badgateway.url, client)
    assert [exchange.error for exchange in badgateway.exchanges()] == ["http_response_timeout"] * 3


async def test_a_gateway_that_comes_back_is_found(badgateway: Lab) -> None:
    async with httpx.AsyncClient() as client:
        with badgateway.hop("lb").stopped(), pytest.raises(httpx.HTTPStatusError, match="502"):
            await fetch_products(badgateway.url, client)
        assert await fetch_products(badgateway.url, client) == 8
