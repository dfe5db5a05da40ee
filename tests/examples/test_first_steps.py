"""A first test with the pytest plugin: what does a client do when the gateways before a shop fail?"""

import urllib.error
import urllib.request

import pytest

from badgateway.testing import Lab


def fetch_products(url: str) -> bytes | None:
    """The client under test: the products, or None when the shop has a problem that may pass."""
    try:
        with urllib.request.urlopen(f"{url}/products", timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            if error.code in {502, 503, 504}:
                return None
        raise


def test_all_is_well(badgateway: Lab) -> None:
    assert fetch_products(badgateway.url)


def test_an_app_that_hangs_makes_the_gateway_give_up(badgateway: Lab) -> None:
    badgateway.hop("lb").patch(timeouts={"first_byte": "200ms"})
    with badgateway.fault("app", "hang") as fault:
        assert fetch_products(badgateway.url) is None
    assert fault.fired == 1
    [exchange] = badgateway.exchanges()
    assert (exchange.status, exchange.decided_by, exchange.error) == (504, "lb", "http_response_timeout")


@pytest.mark.badgateway("502/app-crashed")
def test_a_dead_app(badgateway: Lab) -> None:
    assert fetch_products(badgateway.url) is None
