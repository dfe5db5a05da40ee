"""How a client behaves when its gateways fail, tested with pytest, `badgateway up` and plain HTTP.

Copy this file. The client under test stands first; in a project of yours it would be imported.
"""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class ShopUnavailableError(Exception):
    """The shop did not answer as it should; the message says why."""


def fetch_products(url: str, patience: float = 5.0) -> list[Any]:
    """The client under test: the shop's products, or ShopUnavailableError."""
    try:
        with urllib.request.urlopen(f"{url}/products", timeout=patience) as response:
            products: list[Any] = json.load(response)["products"]
    except urllib.error.HTTPError as error:
        with error:
            raise ShopUnavailableError(f"{error.code}: {error.headers['Proxy-Status']}") from error
    except http.client.IncompleteRead as error:
        raise ShopUnavailableError("the response was cut short") from error
    except OSError as error:
        raise ShopUnavailableError(f"no answer: {error}") from error
    return products


class Chain:
    """A running chain, by its control API."""

    def __init__(self, control: str, token: str) -> None:
        self._control, self._token = control, token
        self.url: str = self.call("GET", "/api/chain")["url"]

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request to the control API; return the JSON that it answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._control + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def break_app(self, kind: str, **attributes: object) -> None:
        """Set a fault in every instance of the app."""
        self.call("POST", "/api/faults", {"target": "app", "kind": kind, **attributes})

    def fired(self) -> int:
        """How often the faults that are set have acted. A test of a failure that did not happen proves nothing."""
        return sum(fault["fired"] for fault in self.call("GET", "/api/faults"))


@pytest.fixture(scope="session")
def running_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for all tests, on free ports. Its state file says where it is, and is there once it is ready."""
    directory = tmp_path_factory.mktemp("badgateway")
    state_file = directory / "badgateway" / "lab.json"
    ports = ["--cdn-port=0", "--lb-port=0", "--app-port=0", "--control-port=0"]
    with subprocess.Popen(
        [sys.executable, "-m", "badgateway", "up", *ports],
        env={**os.environ, "XDG_RUNTIME_DIR": str(directory)},
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_for(state_file, process)
        state = json.loads(state_file.read_text())
        yield Chain(state["control"], state["token"])
        process.terminate()


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the file is there, for 20 s at most."""
    end = time.monotonic() + 20
    while not file.exists():
        assert process.poll() is None, "badgateway ended; its stderr says why"
        assert time.monotonic() < end, "badgateway was not ready in time"
        time.sleep(0.02)


@pytest.fixture
def chain(running_chain: Chain) -> Iterator[Chain]:
    """The chain, put back to how it was started after each test: faults, breakers, records, dead processes."""
    yield running_chain
    running_chain.call("POST", "/api/reset")


def test_all_is_well(chain: Chain) -> None:
    assert len(fetch_products(chain.url)) == 8


def test_a_dead_shop_is_reported_with_the_reason(chain: Chain) -> None:
    chain.break_app("crash")
    with pytest.raises(ShopUnavailableError, match=r"502: lb; error=connection_refused"):
        fetch_products(chain.url)


def test_a_silent_shop_costs_no_more_patience_than_we_have(chain: Chain) -> None:
    chain.break_app("hang")
    with pytest.raises(ShopUnavailableError, match="timed out"):
        fetch_products(chain.url, patience=0.5)
    assert chain.fired() == 1


def test_half_a_response_is_no_response(chain: Chain) -> None:
    chain.break_app("truncate")
    with pytest.raises(ShopUnavailableError, match="cut short"):
        fetch_products(chain.url)
    assert chain.fired() == 1


def test_a_client_that_comes_back_when_it_is_told_to_finds_the_shop_well(chain: Chain) -> None:
    chain.call("PATCH", "/api/hops/lb", {"breaker": {"enabled": True}})
    chain.break_app("reset_before_response", when={"first": 5})
    for _ in range(5):
        with pytest.raises(ShopUnavailableError, match="connection_terminated"):
            fetch_products(chain.url)
    with pytest.raises(ShopUnavailableError, match=r'503: lb; error=destination_unavailable; .*"circuit open"'):
        fetch_products(chain.url)
    chain.call("DELETE", "/api/faults")
    chain.call("POST", "/api/clock", {"advance": "10s"})  # Retry-After said so; nobody waits in a test
    assert len(fetch_products(chain.url)) == 8
