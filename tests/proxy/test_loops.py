"""Hops that are each other's upstream: the one that a request comes back to says so."""

from __future__ import annotations

from typing import Any

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import read_answer
from tests.support.peers import OK, says
from tests.support.wire import RunningHop, raw_upstream, running_hop


def patch(hop: RunningHop, change: dict[str, Any]) -> None:
    hop.hop.apply_config(merge_patch(hop.hop.config, change))


async def test_a_cdn_adds_itself_to_cdn_loop_and_others_leave_it() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, loop={"cdn_id": "edge.example"}) as cdn,
        running_hop(upstream.address, name="plain") as other,
    ):
        assert read_answer(await cdn.get("/")).status == 200
        assert read_answer(await cdn.get("/", "CDN-Loop: a.example; x=y", "cdn-loop: b.example")).status == 200
        lines = ("CDN-Loop: a.example", "Connection: CDN-Loop")
        assert read_answer(await other.get("/", *lines)).status == 200
        ours, appended, passed = upstream.heads
        assert b"\r\nCDN-Loop: edge.example\r\n" in ours
        assert b"\r\nCDN-Loop: a.example; x=y, b.example, edge.example\r\n" in appended
        assert b"\r\nCDN-Loop: a.example\r\n" in passed, "Connection cannot take it away"


async def test_two_hops_in_a_circle_are_found_by_cdn_loop_then_by_via() -> None:
    async with (
        running_hop("127.0.0.1:9", name="cdn", loop={"cdn_id": "edge.example", "status": 508}) as cdn,
        running_hop(cdn.address, name="lb") as lb,
    ):
        patch(cdn, {"upstreams": [lb.address]})
        answer = read_answer(await cdn.get("/"))
        assert (answer.status, answer.members[0].name, answer.members[0].error) == (508, "cdn", "proxy_loop_detected")
        assert (answer.members[0].details or "").startswith("CDN-Loop already names edge.example")
        inner, outer = await cdn.records(2)
        assert (len(inner["attempts"]), inner["status"], outer["status"], outer["generated"]) == (0, 508, 508, False)
        patch(cdn, {"loop": None})
        answer = read_answer(await cdn.get("/"))
        assert (answer.status, answer.members[0].error) == (502, "proxy_loop_detected")
        assert (answer.members[0].details or "").startswith("Via already names cdn")


async def test_where_nobody_looks_a_request_goes_round_until_its_headers_are_too_large() -> None:
    async with running_hop("127.0.0.1:9", name="lb", loop={"via": False}, limits={"request_header": 1000}) as hop:
        patch(hop, {"upstreams": [hop.address]})
        answer = read_answer(await hop.get("/"))
        assert (answer.status, answer.members[0].error) == (431, "http_request_error")
        assert len(hop.hop.recorder.query(limit=1000)) > 15
