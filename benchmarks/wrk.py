"""wrk, the load generator: run it once, read what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.machine import find_tool
from benchmarks.stage import Stage

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """One run: requests, seconds, requests a second, latencies in seconds, and how many requests failed."""

    requests: int
    seconds: float
    rate: float
    p50: float
    p99: float
    failed: int


#: Lua that makes each request's target another.
_NUMBERED = """\
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", wrk.path .. "?n=" .. n)
end
"""


def run(stage: Stage, url: str, *, cpu: int, connections: int, seconds: float, numbered: bool = False) -> Load:
    """Load ``url`` over kept connections from one thread. Raises RuntimeError if wrk fails.

    ``numbered``: no two requests have the same target.
    """
    binary = find_tool("wrk")
    if binary is None:
        raise FileNotFoundError("wrk is not installed")
    argv = [binary, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", url]
    if numbered:
        script = stage.folder / "numbered.lua"
        script.write_text(_NUMBERED, encoding="utf-8")
        argv[1:1] = ["-s", str(script)]
    child = stage.spawn(argv, cpu=cpu)
    output, _ = child.process.communicate(timeout=seconds + 30)
    if child.process.returncode != 0:
        raise RuntimeError(f"wrk failed: {child.tail()}")
    return parse(output.decode())


def parse(output: str) -> Load:
    """Read wrk's report. Raises ValueError when it has not the form that wrk 4 prints."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if total is None or rate is None:
        raise ValueError(f"this is not wrk's report: {output!r}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    non_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    failed = sum(int(group) for group in errors.groups()) if errors else 0
    failed += int(non_2xx[1]) if non_2xx else 0
    return Load(
        requests=int(total[1]),
        seconds=float(total[2]) * _UNITS[total[3]],
        rate=float(rate[1]),
        p50=_latency(output, "50"),
        p99=_latency(output, "99"),
        failed=failed,
    )


def _latency(output: str, share: str) -> float:
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)\s*$", output, re.MULTILINE)
    if found is None:
        raise ValueError(f"wrk's report has no {share}% line: {output!r}")
    return float(found[1]) * _UNITS[found[2]]
