"""One hop on one core before small responses, beside nginx as proxy before the same upstream."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import machine, nginx
from benchmarks.contest import CONNECTIONS, Contender, Reading, alternate, median_of, need_tools, ratio
from benchmarks.figures import Effort, Figure, Row
from benchmarks.hop import has_uvloop, start_hop
from benchmarks.stage import Stage

NAME = "throughput"
TITLE = "One hop on one core against nginx"
TARGET = 0.30


def measure(effort: Effort) -> Figure:
    """Run the contenders in turn, forwards and backwards, and compare round by round.

    Raises NotMeasurableError without nginx and wrk.
    """
    need_tools()
    under_test, other = machine.cores()
    with Stage() as stage:
        _, upstream = nginx.start_upstream(stage, cpu=other)
        hop, hop_port = start_hop(stage, f"127.0.0.1:{upstream}", cpu=under_test)
        quiet, quiet_port = nginx.start_proxy(stage, upstream, cpu=under_test, access_log=False)
        logging, logging_port = nginx.start_proxy(stage, upstream, cpu=under_test, access_log=True)
        contenders = [
            Contender("hop", hop, hop_port),
            Contender("nginx", quiet, quiet_port),
            Contender("nginx+log", logging, logging_port),
        ]
        if has_uvloop():
            fast, fast_port = start_hop(stage, f"127.0.0.1:{upstream}", cpu=under_test, loop="uvloop")
            contenders.append(Contender("hop+uvloop", fast, fast_port))
        alike = alternate(stage, contenders, effort, cpu=other)
        numbered = alternate(stage, contenders, effort, cpu=other, numbered=True)
    return _figure(alike, numbered)


def _figure(readings: Mapping[str, Sequence[Reading]], numbered: Mapping[str, Sequence[Reading]]) -> Figure:
    ratios = ratio(readings, "hop", "nginx")
    shared = statistics.median(ratios)
    logged = statistics.median(ratio(readings, "hop", "nginx+log"))
    unlike = statistics.median(
        theirs.cost / mine.cost for mine, theirs in zip(numbered["hop"], numbered["nginx"], strict=True)
    )
    share = statistics.median(reading.busy for reading in readings["nginx"])
    doubt = "" if share > 0.9 else f"; nginx had its core for {share:.0%} only: measure on a quieter machine"
    rows = [
        Row(
            "One hop on one core, 1 KiB responses, keep-alive, all diagnostics on: requests/s, nginx = 1",
            f"{shared:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){doubt}",
            f"≥ {TARGET:.2f}",
            shared >= TARGET,
        ),
        Row("… nginx with its access log on = 1", f"{logged:.2f}"),
        Row("… no two requests and no two responses alike: requests per CPU second, nginx = 1", f"{unlike:.2f}"),
    ]
    if "hop+uvloop" in readings:
        rows.append(Row("… with the uvloop extra", f"{statistics.median(ratio(readings, 'hop+uvloop', 'nginx')):.2f}"))
    for name, series in readings.items():
        rate, cost, busy = median_of(series)
        other = statistics.median(reading.cost for reading in numbered[name])
        cpu = f"{cost * 1e6:.1f} µs CPU a request ({other * 1e6:.1f} with none alike)"
        value = f"{rate:,.0f}/s, {cpu}, core {busy:.0%} busy"
        rows.append(Row(f"… {_LABELS[name]}", value))
    how = (
        f"wrk, {CONNECTIONS} kept connections, one thread, on another core with the upstream (nginx, a "
        "static body); the proxies in turn on the same core, order reversed each round; medians; "
        "ratios are taken round by round. wrk sends the same request again and again, and within a second the "
        "upstream's answers do not differ, either, which the hop makes use of; where no two are alike it cannot. "
        "There wrk itself is a limit, so CPU time is compared."
    )
    data: dict[str, Any] = {
        "ratio": ratios,
        "readings": _raw(readings),
        "numbered": _raw(numbered),
    }
    return Figure(NAME, TITLE, how, rows, data)


def _raw(readings: Mapping[str, Sequence[Reading]]) -> dict[str, Any]:
    return {
        name: [{**asdict(reading.load), "cpu_seconds": reading.cpu_seconds} for reading in series]
        for name, series in readings.items()
    }


_LABELS = {
    "hop": "the hop",
    "hop+uvloop": "the hop with the uvloop extra",
    "nginx": "nginx, one worker, access log off",
    "nginx+log": "nginx, one worker, access log on",
}
