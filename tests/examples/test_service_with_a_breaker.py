"""A service with a circuit breaker of its own, between two labs: one is what it depends on, one stands before it.

test → CDN → LB → app (relays) → the service → CDN → LB → app: its dependency
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from badgateway.testing import Lab, MakeLab

OPENS_AFTER, OPEN_FOR = 3, 60.0


class Service(ThreadingHTTPServer):
    """The service under test: /offer needs a shop's products. After three failures in a row it stops asking, and says
    when to come back.
    """

    daemon_threads = True

    def __init__(self, dependency: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dependency, self.failures, self.opened = dependency, 0, 0.0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def offer(self) -> tuple[int, dict[str, str], object]:
        """The status, extra fields and body of its answer."""
        wait = self.opened + OPEN_FOR - time.monotonic()
        if self.failures >= OPENS_AFTER and wait > 0:
            return 503, {"Retry-After": str(round(wait))}, {"error": "the shop is away"}
        try:
            with urllib.request.urlopen(f"{self.dependency}/products", timeout=2) as answer:
                products = json.load(answer)["products"]
        except (OSError, ValueError):
            self.failures, self.opened = self.failures + 1, time.monotonic()
            return 502, {}, {"error": "the shop does not answer"}
        self.failures = 0
        return 200, {}, {"offer": products[0]["name"]}


class Handler(BaseHTTPRequestHandler):
    """HTTP for it."""

    server: Service

    def do_GET(self) -> None:
        """Answer."""
        status, fields, content = self.server.offer()
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**fields, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def shop(make_badgateway: MakeLab) -> Lab:
    """What the service depends on."""
    return make_badgateway(instances=1)


@pytest.fixture
def service(shop: Lab) -> Iterator[Service]:
    """The service, running."""
    with Service(shop.url) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def front(service: Service, make_badgateway: MakeLab) -> Lab:
    """The gateways before it."""
    return make_badgateway(backend=service.url, instances=1)


def get(url: str) -> tuple[int, str | None]:
    """The status, and when to come back."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Retry-After"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"]


def test_its_breaker_spares_the_shop_and_tells_clients_when_to_come_back(front: Lab, shop: Lab) -> None:
    with shop.fault("app", "garbage"):
        answers = [get(f"{front.url}/offer") for _ in range(5)]
    assert [status for status, _ in answers] == [502, 502, 502, 503, 503]
    assert len(shop.exchanges()) == 3  # the other two were never asked
    assert answers[-1][1] is not None
    assert 55 <= int(answers[-1][1]) <= 60  # it came through both gateways
    assert {exchange.decided_by for exchange in front.exchanges()} == {"app"}  # that is the service's own word


def test_a_shop_that_recovers_in_time_closes_it_again(front: Lab, shop: Lab) -> None:
    shop.fault("app", "reset_before_response", first=2)
    assert [get(f"{front.url}/offer")[0] for _ in range(4)] == [502, 502, 200, 200]


def test_what_breaks_before_the_service_is_the_gateways_word(front: Lab, shop: Lab) -> None:
    front.fault("app", "reset_before_response")
    assert get(f"{front.url}/offer")[0] == 502
    [exchange] = front.exchanges()
    assert (exchange.decided_by, exchange.error) == ("lb", "connection_terminated")
    assert shop.exchanges() == []
