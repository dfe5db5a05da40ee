"""What a hop has counted, for Prometheus: `GET /metrics` of its admin API.

Durations have OpenTelemetry's names and labels (semantic conventions for HTTP metrics), the rest Envoy's words
(https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats) with the prefix
`badgateway_`. Label sets are bounded: methods, statuses and RFC 9209's error types are, and endpoints are capped.
Nothing is measured here; everything is made of what the hop knows anyway, when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from badgateway_proxy.error_types import ErrorType
from badgateway_proxy.histograms import Histogram
from badgateway_proxy.policies.breaker import State
from badgateway_proxy.policies.outlier import Cause
from badgateway_proxy.records import Recorder

_TIMEOUTS: Final = frozenset((
    ErrorType.HTTP_RESPONSE_TIMEOUT, ErrorType.CONNECTION_READ_TIMEOUT, ErrorType.CONNECTION_WRITE_TIMEOUT,
))  # fmt: skip
_NO_CONNECTION: Final = frozenset((
    ErrorType.CONNECTION_REFUSED, ErrorType.CONNECTION_TIMEOUT, ErrorType.DESTINATION_IP_UNROUTABLE,
    ErrorType.DNS_ERROR, ErrorType.DNS_TIMEOUT,
    ErrorType.TLS_PROTOCOL_ERROR, ErrorType.TLS_CERTIFICATE_ERROR, ErrorType.TLS_ALERT_RECEIVED,
))  # fmt: skip


def exposition(recorder: Recorder, state: Mapping[str, Any], accept: str) -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, or OpenMetrics if `accept` (a request's field) asks for it.

    Args:
        recorder: the hop's counts.
        state: what `GET /state` answers.
        accept: the value of the request's Accept.

    Returns:
        The text, and its content type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Hop(recorder, state))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Hop(Collector):
    def __init__(self, recorder: Recorder, state: Mapping[str, Any]) -> None:
        self._recorder = recorder
        self._state = state

    def collect(self) -> Iterable[Metric]:
        yield self._served()
        yield self._attempted()
        yield from self._counted()
        yield from self._held()
        yield from self._breaker()
        yield _ejections(self._state["ejections"])
        cache = self._state.get("cache")
        if cache is not None:
            yield from _cache(cache)

    def _served(self) -> Metric:
        family = HistogramMetricFamily(
            "http_server_request_duration_seconds",
            "How long exchanges took. error_type: RFC 9209's if the hop generated the response, else a 5xx's status.",
            labels=("http_request_method", "url_scheme", "http_response_status_code", "error_type"),
        )
        for labels, seen in self._recorder.exchanges.by_labels.items():
            method, status, error = labels or ("_OTHER", None, "_OTHER")
            _add(family, (method, self._state["scheme"], _text(status), error or _failed(status)), seen)
        return family

    def _attempted(self) -> Metric:
        family = HistogramMetricFamily(
            "http_client_request_duration_seconds",
            "How long attempts took, connecting included. error_type: RFC 9209's, else a 5xx's status.",
            labels=("http_request_method", "http_response_status_code", "error_type", "server_address", "server_port"),
        )
        for labels, seen in self._recorder.attempts.by_labels.items():
            endpoint, method, status, error = labels or ("_OTHER:", "_OTHER", None, "_OTHER")
            address, _, port = endpoint.rpartition(":")
            _add(family, (method, _text(status), error or _failed(status), address.strip("[]"), port), seen)
        return family

    def _counted(self) -> Iterator[Metric]:
        errors: Counter[str] = Counter()
        for labels, seen in self._recorder.attempts.by_labels.items():
            if labels is not None and labels[3] is not None:
                errors[labels[3]] += seen.count
        totals = self._recorder.totals()
        known = {
            "upstream_rq_retry": (totals["retries"], "Attempts that followed a first one."),
            # Not Envoy's, which counts hedges among the retries only.
            "upstream_rq_hedge": (
                totals["hedges"],
                "Attempts that began beside one that was late (retry.hedge_on_per_try_timeout); retries, too.",
            ),
            "upstream_rq_retry_overflow": (
                self._state["retries"]["refused"],
                "Retries that were not made, as too many were under way (retry.budget, upstream_limits.max_retries).",
            ),
            "upstream_rq_timeout": (sum(errors[kind] for kind in _TIMEOUTS), "Attempts that took too long."),
            "upstream_cx_connect_timeout": (
                errors[ErrorType.CONNECTION_TIMEOUT],
                "Connections that did not come about in time.",
            ),
            "upstream_cx_connect_fail": (
                sum(errors[kind] for kind in _NO_CONNECTION),
                "Connections that did not come about, in time or at all.",
            ),
            "downstream_rq_truncated": (totals["truncated"], "Responses of which the client got less than announced."),
            "downstream_cx_gone": (totals["client_gone"], "Exchanges that the client did not wait for."),
        }
        for name, (value, words) in known.items():
            yield CounterMetricFamily(f"badgateway_{name}", words, value=value)

    def _held(self) -> Iterator[Metric]:
        state = self._state
        endpoints = Counter(str(endpoint.get("state", "")) for endpoint in state["endpoints"])
        known = {
            "downstream_rq_active": (state["in_flight"], "Exchanges under way."),
            "upstream_cx_active": (state["connections"], "Connections to endpoints, in use and idle."),
            "membership_endpoints": (len(state["endpoints"]), "Endpoints."),
            "membership_healthy": (endpoints["healthy"], "Endpoints that get requests."),
            "outlier_detection_ejections_active": (endpoints["ejected"], "Endpoints that are ejected."),
        }
        limited = state.get("upstream")
        if limited is not None:
            known["upstream_rq_active"] = limited["active"], "Requests under way to the upstream."
            known["upstream_rq_pending_active"] = limited["pending"], "Requests that wait for a connection to it."
            if limited["adaptive_limit"] is not None:
                limit = limited["adaptive_limit"]
                known["adaptive_concurrency_limit"] = limit, "Requests that adaptive concurrency lets be under way."
        for name, (value, words) in known.items():
            yield GaugeMetricFamily(f"badgateway_{name}", words, value=value)

    def _breaker(self) -> Iterator[Metric]:
        breaker = self._state["breaker"]
        states = GaugeMetricFamily(
            "badgateway_circuit_breaker_state", "1 for the state that the circuit breaker is in.", labels=("state",)
        )
        for each in State:
            states.add_metric((each.value,), float(each.value == breaker["state"]))
        yield states
        yield CounterMetricFamily(
            "badgateway_circuit_breaker_not_permitted_calls",
            "Attempts that the circuit breaker did not permit.",
            value=breaker["refused"],
        )


def _ejections(causes: Mapping[str, int]) -> Metric:
    ejections = CounterMetricFamily(
        "badgateway_outlier_detection_ejections_enforced", "Ejections, by the detector.", labels=("type",)
    )
    for cause in Cause:
        ejections.add_metric((cause.value,), causes.get(cause, 0))
    return ejections


def _cache(state: Mapping[str, Any]) -> Iterator[Metric]:
    results = CounterMetricFamily(
        "badgateway_cache_exchanges", "How the cache came by its answers: nginx's words.", labels=("result",)
    )
    for result, count in state["results"].items():
        results.add_metric((result,), count)
    yield results
    yield GaugeMetricFamily("badgateway_cache_objects", "Responses that are stored.", value=state["objects"])
    yield GaugeMetricFamily("badgateway_cache_bytes", "Memory that they count for.", value=state["bytes"])
    yield CounterMetricFamily("badgateway_cache_evicted", "Responses that went to make room.", value=state["evicted"])


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], seen: Histogram) -> None:
    family.add_metric(labels, buckets=list(seen.cumulative()), sum_value=seen.total)


def _text(status: int | None) -> str:
    return "" if status is None else str(status)


def _failed(status: int | None) -> str:
    return str(status) if status is not None and status >= 500 else ""
