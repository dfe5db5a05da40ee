"""A chain in which every link speaks TLS, with certificates of the run's own authority."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import aiohttp
import pytest

from badgateway.chain.lab import Lab
from badgateway.chain.spec import ChainSpec
from badgateway.running.probe import send

CHAIN = {
    "cdn": {"tls": {"enabled": True}},
    "lb": {"tls": {"enabled": True}},
    "app": {"tls": True, "instances": 2},
}


@pytest.mark.slow
async def test_every_link_speaks_tls_and_verifies() -> None:
    async with await Lab.start(ChainSpec.model_validate(CHAIN)) as lab:
        assert {url.partition("://")[0] for url in lab.urls.values()} == {"https"}
        answer = await send(lab.url, "GET", "/echo")
        assert answer.status == 200
        told = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
        assert told["x-forwarded-proto"] == "https"
        assert told["forwarded"].count("proto=https") == 2
        (trace,) = await lab.exchanges(request_id=answer.request_id)
        assert [(record["hop"], record["status"]) for record in trace.hops] == [("cdn", 200), ("lb", 200)]

        await lab.set_fault("app-1", {"kind": "tls_untrusted_issuer"})
        await lab.restart("lb")  # which has connections that it would go on using
        answers = [await send(lab.url) for _ in range(4)]
        assert sorted(each.status or 0 for each in answers) == [200, 200, 502, 502]
        assert {each.error for each in answers} == {None, "tls_certificate_error"}

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusted = await _trusted(lab)
        context.load_verify_locations(trusted)
        async with aiohttp.ClientSession() as session, session.get(lab.url, ssl=context) as response:
            assert response.status in (200, 502)  # a client that trusts the run's authority verifies it, too
    assert not trusted.exists()


async def _trusted(lab: Lab) -> Path:
    configuration = await lab.patch("lb", {})
    return Path(configuration["upstream_tls"]["ca_file"])
