"""Proxies that take turns on one core before the same upstream, measured by wrk from another core."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import machine, wrk
from benchmarks.figures import Effort, NotMeasurableError
from benchmarks.stage import Child, Stage

CONNECTIONS = 32


@dataclass(frozen=True)
class Contender:
    """A proxy under test."""

    name: str
    child: Child
    port: int


@dataclass(frozen=True)
class Reading:
    """One run against one contender: its load, and the CPU seconds it took for that."""

    load: wrk.Load
    cpu_seconds: float

    @property
    def busy(self) -> float:
        """Share of its core that the proxy used; below 1, something else was the limit."""
        return self.cpu_seconds / self.load.seconds

    @property
    def cost(self) -> float:
        """CPU seconds for one request."""
        return self.cpu_seconds / max(1, self.load.requests)


def need_tools() -> None:
    """Raise NotMeasurableError, saying what to install, where nginx or wrk is missing."""
    missing = [tool for tool in ("nginx", "wrk") if machine.find_tool(tool) is None]
    if missing:
        raise NotMeasurableError(f"{' and '.join(missing)} missing; on Debian: apt-get install nginx wrk")


def alternate(
    stage: Stage, contenders: Sequence[Contender], effort: Effort, *, cpu: int, numbered: bool = False
) -> dict[str, list[Reading]]:
    """Every contender once a round, each round in the opposite order to the last; 1 s of warm-up each.

    ``numbered``: no two requests, and no two responses, have the same head.
    """
    readings: dict[str, list[Reading]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        _read(stage, contender, 1.0, cpu=cpu, numbered=numbered)
    for number in range(effort.rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            readings[contender.name].append(_read(stage, contender, effort.seconds, cpu=cpu, numbered=numbered))
    return readings


def _read(stage: Stage, contender: Contender, seconds: float, *, cpu: int, numbered: bool) -> Reading:
    before = contender.child.cpu_seconds()
    url = f"http://127.0.0.1:{contender.port}/{'numbered' if numbered else 'products'}"
    load = wrk.run(stage, url, cpu=cpu, connections=CONNECTIONS, seconds=seconds, numbered=numbered)
    if load.failed:
        raise RuntimeError(f"{contender.name}: {load.failed} of {load.requests} requests failed")
    return Reading(load, contender.child.cpu_seconds() - before)


def ratio(readings: Mapping[str, Sequence[Reading]], name: str, base: str) -> list[float]:
    """Requests a second of ``name`` over those of ``base``, round by round."""
    return [mine.load.rate / theirs.load.rate for mine, theirs in zip(readings[name], readings[base], strict=True)]


def median_of(series: Sequence[Reading]) -> tuple[float, float, float]:
    """Of several readings: requests a second, CPU seconds a request, share of the core in use."""
    return (
        statistics.median(reading.load.rate for reading in series),
        statistics.median(reading.cost for reading in series),
        statistics.median(reading.busy for reading in series),
    )
