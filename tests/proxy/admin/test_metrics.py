"""What Prometheus reads of a hop: true counts under OpenTelemetry's and Envoy's names, and few labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from badgateway_proxy.admin.metrics import exposition
from badgateway_proxy.configuration.config import merge_patch
from tests.support.exchanges import Scripts, until_gone
from tests.support.peers import OK, healthy, refused_address, says
from tests.support.wire import RunningHop, raw_upstream, running_hop

SERVER = "http_server_request_duration_seconds"
CLIENT = "http_client_request_duration_seconds"


def samples(hop: RunningHop) -> Iterator[Sample]:
    text, content_type = exposition(hop.hop.recorder, hop.hop.state(), "")
    assert content_type.startswith("text/plain; version=0.0.4")
    for family in text_string_to_metric_families(text.decode()):
        yield from family.samples


def value(hop: RunningHop, name: str, **labels: str) -> float | None:
    """The one sample of that name and, among others, these labels; None if there is none."""
    found = [each.value for each in samples(hop) if each.name == name and labels.items() <= each.labels.items()]
    assert len(found) < 2, f"{name} {labels} is not one: {found}"
    return found[0] if found else None


async def test_exchanges_and_attempts_are_counted_by_what_became_of_them() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        host, port = upstream.address.split(":")
        for _ in range(3):
            await hop.get()
        await hop.get(method="BREW")
        await hop.records(4)
        served = {"http_request_method": "GET", "url_scheme": "http", "http_response_status_code": "200"}
        assert value(hop, f"{SERVER}_count", **served) == 3
        assert value(hop, f"{SERVER}_bucket", http_request_method="GET", le="+Inf") == 3
        assert value(hop, f"{SERVER}_count", http_request_method="_OTHER") == 1
        labels = {"server_address": host, "server_port": port, "error_type": ""}
        assert value(hop, f"{CLIENT}_count", http_request_method="GET", **labels) == 3
        total = value(hop, f"{SERVER}_sum", http_request_method="GET")
        assert total is not None
        assert 0 < total < 10


async def test_what_goes_wrong_has_its_error_type() -> None:
    with refused_address() as address:
        async with running_hop(address, retry={"attempts": 3, "backoff": {"base": "0s"}}) as hop:
            await hop.get()
            await hop.record()
            refused = {"error_type": "connection_refused"}
            assert value(hop, f"{SERVER}_count", http_response_status_code="502", **refused) == 1
            assert value(hop, f"{CLIENT}_count", http_response_status_code="", **refused) == 3
            assert value(hop, "badgateway_upstream_cx_connect_timeout_total") == 0
            assert value(hop, "badgateway_upstream_rq_retry_total") == 2
            assert value(hop, "badgateway_upstream_rq_hedge_total") == 0
            assert value(hop, "badgateway_upstream_cx_connect_fail_total") == 3


async def test_hedges_are_counted_apart_and_among_the_retries_until_a_reset() -> None:
    retry = {"attempts": 2, "per_try_timeout": "100ms", "hedge_on_per_try_timeout": True}
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, healthy)
        async with running_hop(*addresses, retry=retry) as hop:
            await hop.get()
            await hop.record()
            assert value(hop, "badgateway_upstream_rq_hedge_total") == 1
            assert value(hop, "badgateway_upstream_rq_retry_total") == 1
            hop.hop.reset()
            assert value(hop, "badgateway_upstream_rq_hedge_total") == 0


async def test_every_deadline_counts_as_one_and_a_connection_that_comes_too_late_as_none() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        late = ("connection_timeout", "connection_write_timeout", "http_response_timeout", "connection_read_timeout")
        for error in late:
            hop.hop.recorder.attempts.add(("127.0.0.1:9", "GET", None, error), 1.0)
        assert value(hop, "badgateway_upstream_rq_timeout_total") == 3
        assert value(hop, "badgateway_upstream_cx_connect_timeout_total") == 1
        assert value(hop, "badgateway_upstream_cx_connect_fail_total") == 1


@pytest.mark.parametrize(
    "limits",
    [
        {"retry": {"attempts": 3, "budget": {"enabled": True, "percent": 0, "min_concurrency": 0}}},
        {"retry": {"attempts": 3}, "upstream_limits": {"max_retries": 0}},
    ],
)
async def test_retries_that_were_too_many_are_counted_until_a_reset(limits: dict[str, Any]) -> None:
    with refused_address() as address:
        async with running_hop(address, **limits) as hop:
            await hop.get()
            await hop.record()
            assert value(hop, "badgateway_upstream_rq_retry_overflow_total") == 1
            assert value(hop, "badgateway_upstream_rq_retry_total") == 0
            assert hop.hop.state()["retries"] == {"active": 0, "refused": 1}
            hop.hop.reset()
            assert value(hop, "badgateway_upstream_rq_retry_overflow_total") == 0


async def test_ejections_are_counted_by_detector_until_a_reset() -> None:
    enforced = "badgateway_outlier_detection_ejections_enforced_total"
    failing = says(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", then="again")
    outlier = {"enabled": True, "consecutive_5xx": 2}
    async with raw_upstream(failing) as upstream, running_hop(upstream.address, outlier=outlier) as hop:
        assert value(hop, enforced, type="consecutive_5xx") == 0
        for _ in range(3):
            await hop.get()
        await hop.records(3)
        assert value(hop, enforced, type="consecutive_5xx") == 1
        assert value(hop, enforced, type="success_rate") == 0
        hop.hop.clock.advance(3600)
        await hop.get()
        await hop.records(4)
        assert value(hop, "badgateway_outlier_detection_ejections_active") == 0
        assert value(hop, enforced, type="consecutive_5xx") == 1, "what is over has happened all the same"
        hop.hop.reset()
        assert value(hop, enforced, type="consecutive_5xx") == 0


async def test_names_are_as_prometheus_wants_them() -> None:
    changes = {"cache": {"enabled": True}, "upstream_limits": {"max_requests": 5}}
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **changes) as hop:
        await hop.get()
        await hop.record()
        text, _ = exposition(hop.hop.recorder, hop.hop.state(), "")
        families = list(text_string_to_metric_families(text.decode()))
        assert len(families) > 10
        for family in families:  # what `promtool check metrics` complains of
            assert family.documentation
            counts = {sample.name.endswith("_total") for sample in family.samples}
            assert counts == {family.type == "counter"}, family.name


async def test_a_relayed_5xx_is_an_error_of_its_status() -> None:
    async with (
        raw_upstream(says(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", then="again")) as upstream,
        running_hop(upstream.address) as hop,
    ):
        await hop.get()
        await hop.record()
        assert value(hop, f"{SERVER}_count", error_type="503", http_response_status_code="503") == 1


async def test_the_breaker_and_the_endpoints_show() -> None:
    async with raw_upstream(says(then="reset")) as upstream:
        breaker = {"minimum_calls": 2, "window": {"size": 2}}
        async with running_hop(upstream.address, breaker=breaker) as hop:
            assert value(hop, "badgateway_circuit_breaker_state", state="closed") == 1
            for _ in range(3):
                await hop.get()
            await hop.records(3)
            assert value(hop, "badgateway_circuit_breaker_state", state="open") == 1
            assert value(hop, "badgateway_circuit_breaker_state", state="closed") == 0
            assert value(hop, "badgateway_circuit_breaker_not_permitted_calls_total") == 1
            assert value(hop, "badgateway_membership_endpoints") == 1
            assert value(hop, "badgateway_membership_healthy") == 1
            assert value(hop, "badgateway_downstream_rq_active") == 0


async def test_what_the_cache_does_shows() -> None:
    response = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"
    async with raw_upstream(says(response, then="again")) as upstream:
        async with running_hop(upstream.address, cache={"enabled": True}) as hop:
            for _ in range(3):
                await hop.get()
            await hop.records(3)
            assert value(hop, "badgateway_cache_exchanges_total", result="hit") == 2
            assert value(hop, "badgateway_cache_exchanges_total", result="miss") == 1
            assert value(hop, "badgateway_cache_exchanges_total", result="stale") == 0
            assert value(hop, "badgateway_cache_objects") == 1
        async with running_hop(upstream.address) as hop:
            assert value(hop, "badgateway_cache_objects") is None


async def test_requests_cannot_make_labels() -> None:
    async with raw_upstream(says(OK, then="again")) as upstream, running_hop(upstream.address) as hop:
        for number in range(20):
            await hop.get(f"/{number}", f"X-{number}: {number}", method=f"M{number}")
        await hop.records(20)
        methods = {each.labels["http_request_method"] for each in samples(hop) if each.name == f"{SERVER}_count"}
        assert methods == {"_OTHER"}


async def test_a_reset_counts_anew() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get()
        await hop.record()
        hop.hop.reset()
        assert value(hop, f"{SERVER}_count") is None
        assert value(hop, "badgateway_upstream_rq_retry_total") == 0


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=1.0.0", "application/openmetrics-text"])
async def test_openmetrics_for_who_asks_for_it(accept: str) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get()
        await hop.record()
        hop.hop.apply_config(merge_patch(hop.hop.config, {"upstreams": [upstream.address, "[::1]:9"]}))
        text, content_type = exposition(hop.hop.recorder, hop.hop.state(), accept)
        assert content_type.startswith("application/openmetrics-text")
        families = open_metrics(text.decode())  # type: ignore[no-untyped-call]  # prometheus_client has no types for it
        names = {family.name for family in families}
        assert {SERVER, CLIENT, "badgateway_upstream_rq_retry"} <= names


async def test_limits_on_the_upstream_show_what_is_under_way_where_there_are_any() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        assert value(hop, "badgateway_upstream_rq_active") is None
        change = {"upstream_limits": {"max_requests": 5}, "adaptive_concurrency": {"algorithm": "aimd"}}
        hop.hop.apply_config(merge_patch(hop.hop.config, change))
        assert value(hop, "badgateway_upstream_rq_active") == 0
        assert value(hop, "badgateway_upstream_rq_pending_active") == 0
        assert value(hop, "badgateway_adaptive_concurrency_limit") == 20
