"""A hop's cache on one core: hits beside nginx's proxy_cache, and what a stored response takes in memory."""

from __future__ import annotations

import http.client
import statistics
from collections.abc import Sequence

from benchmarks import machine, memory, nginx
from benchmarks.contest import Contender, Reading, alternate, median_of, need_tools, ratio
from benchmarks.figures import Effort, Figure, Row
from benchmarks.hop import start_hop
from benchmarks.origin import SMALL
from benchmarks.stage import Stage

NAME = "caching"
TITLE = "Hits of a hop's cache on one core against nginx's"
TARGET = 0.30
OBJECTS = 5000
"""Responses stored to see what one takes."""

_SETTINGS = {"cache": {"enabled": True, "default_ttl": "1h", "objects": 2 * OBJECTS}}


def measure(effort: Effort) -> Figure:
    """Run both in turn, forwards and backwards; then store many responses and look at the hop's memory.

    Raises NotMeasurableError without nginx and wrk.
    """
    need_tools()
    under_test, other = machine.cores()
    with Stage() as stage:
        _, upstream = nginx.start_upstream(stage, cpu=other)
        hop, hop_port = start_hop(stage, f"127.0.0.1:{upstream}", cpu=under_test, settings=_SETTINGS)
        cached, cached_port = nginx.start_caching_proxy(stage, upstream, cpu=under_test)
        plain, plain_port = start_hop(stage, f"127.0.0.1:{upstream}", cpu=under_test)
        readings = alternate(
            stage,
            [
                Contender("hop", hop, hop_port),
                Contender("nginx", cached, cached_port),
                Contender("no cache", plain, plain_port),
            ],
            effort,
            cpu=other,
        )
        hits = _header(hop_port, "/products", "Cache-Status"), _header(cached_port, "/products", "X-Cache-Status")
        if not (hits[0].startswith("bench; hit") and hits[1] == "HIT"):
            raise RuntimeError(f"these were no hits: {hits}")
        each = _memory_of_each(hop.pid, hop_port)
    return _figure(readings, each)


def _header(port: int, path: str, name: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.headers.get(name, "")
    finally:
        connection.close()


def _memory_of_each(pid: int, port: int) -> float:
    """Bytes by which the process grows for each stored response of 1 KiB."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for number in range(1000 + OBJECTS):
            if number == 1000:  # by now what grows once has grown: records, pools, parsers
                before = memory.resident(pid)
            connection.request("GET", f"/object/{number}")
            connection.getresponse().read()
    finally:
        connection.close()
    return (memory.resident(pid) - before) / OBJECTS


def _figure(readings: dict[str, list[Reading]], each: float) -> Figure:
    ratios = ratio(readings, "hop", "nginx")
    shared = statistics.median(ratios)
    rows = [
        Row(
            "Hits of a hop's cache on one core, 1 KiB responses, keep-alive: requests/s, nginx's proxy_cache = 1",
            f"{shared:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"≥ {TARGET:.2f}",
            shared >= TARGET,
        ),
        Row("… the same hop without a cache = 1", f"{statistics.median(ratio(readings, 'hop', 'no cache')):.2f}"),
        *(_row(label, readings[name]) for name, label in _LABELS.items()),
        Row("A stored response of 1 KiB takes", f"{each / 1024:.1f} KiB"),
    ]
    how = (
        "wrk, kept connections, one thread, on another core with the upstream; the contenders in turn on the same "
        f"core, order reversed each round; medians; ratios round by round. Memory: VmRSS before and after {OBJECTS} "
        f"different responses with bodies of {len(SMALL)} bytes were stored."
    )
    return Figure(NAME, TITLE, how, rows, {"ratio": ratios, "bytes_each": each})


def _row(label: str, series: Sequence[Reading]) -> Row:
    rate, cost, busy = median_of(series)
    return Row(f"… {label}", f"{rate:,.0f}/s, {cost * 1e6:.1f} µs CPU a request, core {busy:.0%} busy")


_LABELS = {
    "hop": "the hop, from its cache",
    "no cache": "the hop without a cache",
    "nginx": "nginx, one worker, from its cache, access log off",
}
