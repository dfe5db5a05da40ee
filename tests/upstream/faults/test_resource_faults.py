"""Faults of an app that runs out of something: disk, descriptors, memory, time. The kernel says so, not a flag."""

from __future__ import annotations

import logging

import pytest

from tests.support.instance import HereInstance, here
from tests.support.processes import until
from tests.support.proofs import proves
from tests.support.rawclient import RawClient

ORDER = b'{"product_id":1}'


async def asked(
    client: RawClient, method: str, path: str, body: bytes = b"", request_id: str = "r1"
) -> tuple[int, str]:
    """Ask on a kept-alive connection; the status and the body."""
    client.packets.clear()
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    await client.send(head.encode() + body)
    seen = await client.until(b"\r\n\r\n")
    top, _, rest = seen.partition(b"\r\n\r\n")
    length = int(top.lower().partition(b"content-length: ")[2].split()[0])
    while len(rest) < length:
        rest += await client.packet()
    return int(top.split()[1]), rest.decode()


async def begun(app: HereInstance) -> str:
    """Wait until the newest fault has set in; what shows it."""
    fault = app.instance.book.faults()[-1]
    await until(lambda: fault.evidence != "")
    return fault.evidence


@proves("disk_full")
async def test_a_full_disk_fails_what_writes_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with here() as app, app.client() as client:
        assert await asked(client, "GET", "/report") == (200, REPORT)
        fault = app.fault("disk_full")
        evidence = await begun(app)
        assert evidence.startswith(("a tmpfs of 65536 bytes, of which 65536 are written", "/dev/full, as no file"))
        assert {"event": "evidence", "fault": fault.id, "evidence": evidence, "happened": True} in app.events
        assert (await asked(client, "GET", "/report"))[0] == 500
        assert (await asked(client, "POST", "/orders", ORDER, "order-7"))[0] == 500
        last = caplog.records[-1]
        assert "OSError: [Errno 28] No space left on device" in caplog.text
        assert getattr(last, "request_id", None) == "order-7"
        assert (await asked(client, "GET", "/orders/1"))[0] == 404, "the order was undone"
        assert (await asked(client, "GET", "/health"))[0] == 200, "what only reads does not notice"
        app.instance.book.remove(fault.id)
        assert (await asked(client, "POST", "/orders", ORDER))[0] == 201
        assert (await asked(client, "GET", "/report"))[0] == 200


REPORT = "".join(
    f"{line}\r\n"
    for line in (
        "product_id,name,sold,cents",
        *(f"{n},{name},0,0" for n, name in enumerate(("Tin of tea", "Teapot", "Strainer", "Cup and saucer"), 1)),
        *(f"{n},{name},0,0" for n, name in enumerate(("Sugar tongs", "Kettle", "Tea towel", "Honey"), 5)),
    )
)
