"""A running lab, as a test uses it: plain blocking HTTP to its control API, so any client and any framework fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from badgateway.control.client import ControlClient
from badgateway.testing.exchange import Exchange
from badgateway.testing.fault import Fault
from badgateway.testing.nodes import Hop, Process
from badgateway.wording import counted

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""

SHOWN = 5
"""Exchanges that a report draws."""
MOST = 1000
"""Exchanges that a lab remembers."""


class Clock:
    """The clock of the lab's policies: breakers, caches, expiry of faults. Sockets keep real time."""

    def __init__(self, control: ControlClient) -> None:
        self._control = control

    def advance(self, by: float | str) -> None:
        """Let time pass at once: seconds, or text such as "30s"."""
        self._control.call("POST", "clock", {"advance": duration(by)})


class Lab:
    """One running chain, CDN → LB → app.

    Every method raises `InvalidRequest` for what cannot be and `EnvironmentProblem` when the lab does not answer (both
    from `badgateway.chain.errors`); their texts say what to do.
    """

    def __init__(self, control: ControlClient, *, since: float = 0.0) -> None:
        """`since`: when this test began, in epoch seconds; what came before is somebody else's."""
        self._control, self._since = control, since
        told = control.chain()
        self.url: str = told["url"]
        """Where the client under test connects: the outermost hop."""
        self.urls: Mapping[str, str] = {node["name"]: node["url"] for node in told["nodes"]}
        """Where each hop and instance listens."""
        self.clock = Clock(control)
        self.faults: list[Fault] = []
        """The faults that this test has set, oldest first."""

    @property
    def control(self) -> str:
        """Where the control API listens."""
        return self._control.url

    @property
    def token(self) -> str:
        """The control API's token."""
        return self._control.token

    @property
    def session_headers(self) -> dict[str, str]:
        """What the client under test has to send, so that this test's faults meet its requests and their records are
        found: a member of baggage (W3C Baggage). Empty where the lab serves nobody but this test.
        """
        return {} if self._control.session is None else {"baggage": f"badgateway-session={self._control.session}"}

    def fault(
        self,
        target: str,
        kind: str,
        *,
        for_: float | str | None = None,
        first: int | None = None,
        percentage: float | None = None,
        path: str | None = None,
        method: str | Sequence[str] | None = None,
        header: Mapping[str, str] | None = None,
        instance: str | None = None,
        when: Mapping[str, Any] | None = None,
        may_not_fire: bool = False,
        **attributes: Any,
    ) -> Fault:
        """Set a fault; it lasts until the end of the test, of the `with` block it is used in, or for 60 s.

        Args:
            target: "app" (every instance), "app-1", …; of "cdn" and "lb" only the process can fail.
            kind: its name; `badgateway fault kinds` lists them.
            for_: how long it lasts at most: seconds, or text such as "2m".
            first: only the first so many requests of each instance.
            percentage: that share of the requests.
            path, method, header: only requests like that; * stands for any characters.
            instance: only there.
            when: these conditions and the others, by name: `when={"every": 2}`.
            may_not_fire: the test holds although it never fires.
            attributes: the fault's own, such as `latency="300ms"`.
        """
        named: dict[str, Any] = {
            "first": first, "percentage": percentage, "path": path, "instance": instance,
            "method": method if method is None or isinstance(method, str) else list(method),
            "header": None if header is None else dict(header),
        }  # fmt: skip
        conditions = {**(when or {}), **{name: value for name, value in named.items() if value is not None}}
        spec: dict[str, Any] = {"kind": kind, **attributes}
        if conditions:
            spec["when"] = conditions
        if for_ is not None:
            spec["for"] = duration(for_)
        fault = Fault(self._control, self._control.set_fault(target, spec), may_not_fire=may_not_fire)
        self.faults.append(fault)
        return fault

    def adopt_faults(self, *, may_not_fire: bool) -> None:
        """Count the faults that are set already, by a scenario, among this test's own."""
        self.faults += [Fault(self._control, told, may_not_fire=may_not_fire) for told in self._control.faults()]

    def clear_faults(self) -> None:
        """Take back every fault of this test."""
        self._control.clear_faults()

    def hop(self, name: str) -> Hop:
        """`cdn` or `lb`."""
        return Hop(self._control, name)

    def process(self, name: str) -> Process:
        """A hop, an instance, or every instance (`app`)."""
        return Process(self._control, name)

    def exchanges(
        self,
        *,
        request_id: str | None = None,
        path: str | None = None,
        decided_by: str | None = None,
        limit: int = MOST,
    ) -> list[Exchange]:
        """The requests that this test's client has made, oldest first. Waits until those under way are recorded, for a
        second at most.

        Args:
            request_id: only that one (X-Request-ID, in each response).
            path: only of that path, without query.
            decided_by: only those that this hop answered itself, or "app".
            limit: only the latest.
        """
        query: dict[str, object] = {"limit": limit, "settled": "true"}
        if request_id is not None:
            query["request_id"] = request_id
        found = [Exchange(**told) for told in self._control.call("GET", "exchanges", query=query)]
        return [
            exchange
            for exchange in found
            if exchange.hops[0]["started"] >= self._since
            and path in (None, exchange.target.partition("?")[0])
            and decided_by in (None, exchange.decided_by)
        ]

    def reset(self) -> None:
        """As it was started: no faults, all processes up, configuration, breakers, records, clocks and shop as new."""
        self._control.reset()
        self.faults.clear()

    def unfired(self) -> list[Fault]:
        """The faults of this test that should have fired and did not."""
        return [fault for fault in self.faults if not fault.may_not_fire and not fault.fired]

    def report(self) -> str:
        """What happened so far, for somebody whose test failed: the latest exchanges drawn, and each fault's count."""
        exchanges = self.exchanges()
        names = {urlsplit(url).netloc: name for name, url in self.urls.items()}
        lines = [f"{counted(len(exchanges), 'request')} through {self.url}"]
        if len(exchanges) > SHOWN:
            lines[0] += f"; the last {SHOWN}:"
        for exchange in exchanges[-SHOWN:]:
            lines += [str(exchange), *(f"  {line}" for line in exchange.waterfall(names).splitlines())]
        faults = [f"fault {fault}: fired {counted(fault.fired, 'time')}" for fault in self.faults]
        return "\n".join([*lines, *(faults or ["no faults were set"])])


def duration(value: float | str) -> str:
    """As the control API takes it: text with a unit."""
    return value if isinstance(value, str) else f"{value:.6f}".rstrip("0").rstrip(".") + "s"
