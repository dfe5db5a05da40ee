"""Who gets which address, before any process runs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.spec import ChainSpec
from badgateway.processes import assembly
from badgateway.processes.assembly import Assembly
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports, Reservations
from tests.support.processes import left_of

FIRST = 40000


class InOrder(Reservations):
    """Gives any free port as a kernel may: the lowest one that nobody has yet."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.given: set[int] = set()

    def take(self, port: int = 0, *, option: str = "") -> int:
        port = port or next(each for each in itertools.count(FIRST) if each not in self.given)
        if port in self.given:
            raise EnvironmentProblem(f"{port} is taken; choose another with {option}")
        self.given.add(port)
        return port


@pytest.fixture
async def forkserver() -> AsyncIterator[ForkServer]:
    forkserver = ForkServer.launch([])
    yield forkserver
    await forkserver.close()
    assert left_of(forkserver.run_id) == []


async def test_a_port_that_was_asked_for_goes_to_nothing_that_takes_any(
    forkserver: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(assembly, "Reservations", InOrder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Assembly(ChainSpec(), Ports(cdn=0, lb=FIRST, app=FIRST + 1, control=0), forkserver)
    try:
        async with aiohttp.ClientSession() as session:
            nodes = made.build(session, lambda _: None, lambda *_: None)
    finally:
        made.close()
    urls = {node.name: node.url for node in nodes}
    assert (urls["lb"], urls["app-1"], urls["app-2"]) == tuple(f"http://127.0.0.1:{FIRST + n}" for n in range(3))
