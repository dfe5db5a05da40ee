"""Many threads of the app's process compute at once, and the one that serves requests hardly ever gets its turn."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Awaitable
from typing import Annotated, Final, Literal

from pydantic import Field

from badgateway_upstream.durations import PositiveDuration
from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, Handling, register

_NUMBERS: Final = 2_000_000
"""Summed in one call: some milliseconds in which no other thread gets a turn, as with sorting or JSON."""


_PROGRAM: Final = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    sum(range(1000))
"""


class StarveCpu(FaultSpec):
    """Attributes of `starve_cpu`."""

    kind: Literal["starve_cpu"] = "starve_cpu"
    threads: int = Field(default=24, ge=1, le=64)
    """How many threads compute. Python runs one of a process's threads at a time, so no more than one core is used."""
    computes: Annotated[PositiveDuration, Field(le=10.0)] = 1.0
    """For how long; at most 10s, as whoever could end it does not get a turn either."""
    elsewhere: bool = False
    """Whether one thread of another process computes instead, which is the cure."""


def _compute(spec: StarveCpu, handling: Handling) -> Awaitable[None]:
    return handling.in_worker(lambda: _elsewhere(spec.computes) if spec.elsewhere else _here(spec))


def _elsewhere(seconds: float) -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", _PROGRAM, str(seconds)], check=True)  # noqa: S603 - our own program


def _here(spec: StarveCpu) -> None:
    end = time.monotonic() + spec.computes

    def compute() -> None:
        while time.monotonic() < end:
            sum(range(_NUMBERS))

    computing = [threading.Thread(target=compute, name="computing", daemon=True) for _ in range(spec.threads)]
    for thread in computing:
        thread.start()
    for thread in computing:
        thread.join()


register(
    FaultType(
        name="starve_cpu",
        category="app",
        summary="Computes in many threads of the process, which leave the event loop next to no processor time.",
        provokes="http_response_timeout",
        attributes=StarveCpu,
        effect=Break(_compute),
    )
)
