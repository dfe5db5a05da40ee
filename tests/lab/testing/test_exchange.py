import contextlib
import urllib.request

from badgateway.testing import Lab
from tests.support.asking import status_of


def test_an_exchange_says_what_every_hop_saw(badgateway: Lab) -> None:
    badgateway.fault("app", "hang", first=1, instance="app-1")
    badgateway.hop("lb").patch(timeouts={"first_byte": "600ms"}, retry={"attempts": 2})
    codes = [status_of(badgateway, f"/products?page={page}") for page in (1, 2)]
    assert codes == [200, 200]
    exchanges = badgateway.exchanges()
    assert [exchange.target for exchange in exchanges] == ["/products?page=1", "/products?page=2"]
    [struck] = [exchange for exchange in exchanges if exchange.firings]
    assert (struck.method, struck.status, struck.decided_by, struck.error) == ("GET", 200, "app", None)
    assert (struck.attempts("cdn"), struck.attempts("lb"), struck.attempts("nobody")) == (1, 2, 0)
    assert struck.duration >= 0.6
    assert not struck.truncated
    assert not struck.client_gone
    assert struck.retry_after is None
    assert str(struck).startswith(f"GET {struck.target} → 200, decided by app, ")
    drawn = struck.waterfall()
    assert "http_response_timeout in wait" in drawn
    assert "#2" in drawn


def test_a_client_that_left_is_recorded_as_gone(badgateway: Lab) -> None:
    badgateway.fault("app", "hang")
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"{badgateway.url}/products", timeout=0.2)
    [exchange] = badgateway.exchanges()
    assert exchange.client_gone
    assert exchange.status is None
    assert "no response" in str(exchange)
