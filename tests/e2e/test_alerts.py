"""The exported rules read what hops really tell Prometheus: the metric and the label that they name are there."""

from __future__ import annotations

import re

import aiohttp
import pytest

from badgateway.alerting.prometheus import REQUESTS, STATUS
from badgateway.alerting.rules import SERVER_ERRORS
from badgateway.chain.lab import Lab
from badgateway.chain.spec import ChainSpec

pytestmark = pytest.mark.slow


async def test_hops_count_requests_by_status_under_the_names_of_the_rules() -> None:
    async with await Lab.start(ChainSpec()) as lab, aiohttp.ClientSession() as client:
        assert lab._assembly is not None
        token = lab._assembly.token
        await lab.set_fault("app", {"kind": "exception", "when": {"path": "/products/1"}})
        for path in ("/products", "/products", "/products/1", "/nowhere"):
            async with client.get(lab.url + path) as response:
                await response.read()
        nodes = {node["name"]: node for node in (await lab.describe())["nodes"]}
        for hop in lab.hops:
            headers = {"Authorization": f"Bearer {token}"}
            async with client.get(f"{nodes[hop]['admin']}/metrics", headers=headers) as response:
                text = await response.text()
            counts = {
                int(status): float(count)
                for status, count in re.findall(rf'^{REQUESTS}{{.*\b{STATUS}="(\d+)".*}} (\S+)$', text, re.MULTILINE)
            }
            assert counts == {200: 2, 404: 1, 500: 1}
            assert [status for status in counts if SERVER_ERRORS.matches(status)] == [500]
