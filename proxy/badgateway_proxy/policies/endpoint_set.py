"""The endpoints of a hop: which of them are available, and which one gets the next attempt. Pure.

Settings, active checks, outlier ejection, draining, slow start and the panic threshold meet here; a balancer then
chooses among those that are left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from badgateway_proxy.policies.balancer import Balancer, EndpointState, Rand, parse_endpoint
from badgateway_proxy.policies.health_checks import CheckedHealth
from badgateway_proxy.policies.least_request import FewChoices, LeastRequest
from badgateway_proxy.policies.maglev import Maglev
from badgateway_proxy.policies.outlier import Cause, OutlierDetector
from badgateway_proxy.policies.random_choice import RandomChoice
from badgateway_proxy.policies.round_robin import RoundRobin, WeightedRoundRobin
from badgateway_proxy.policies.slow_start import SlowStart

if TYPE_CHECKING:
    from badgateway_proxy.configuration.balancing_settings import BalancingSettings
    from badgateway_proxy.configuration.config import HopConfig
    from badgateway_proxy.error_types import ErrorType

_NEVER = float("inf")

Listener = Callable[[EndpointState, str, str], None]
"""Called when an endpoint changes: which, what it is now (`state_of`), and why."""


class Pick(Protocol):
    """As `Balancer.pick`; None: there is no endpoint that takes requests."""

    def __call__(
        self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None
    ) -> EndpointState | None: ...


def state_of(endpoint: EndpointState) -> str:
    """``draining``, ``unhealthy`` (active checks), ``ejected`` (outlier), or ``healthy``; the first that fits."""
    if endpoint.draining:
        return "draining"
    if not endpoint.healthy:
        return "unhealthy"
    return "ejected" if endpoint.ejected else "healthy"


class EndpointSet:
    """A hop's endpoints. Not thread-safe: one event loop uses it.

    Args:
        config: the hop's configuration.
        rand: for policies that draw lots.
        listener: told of every change.
        now: seconds of the policies' clock.
    """

    def __init__(self, config: HopConfig, rand: Rand, listener: Listener, now: float) -> None:
        self._rand = rand
        self._listener = listener
        self._members: dict[str, EndpointState] = {}
        self._found: Mapping[str, Sequence[str]] = {}
        self._checks: dict[EndpointState, CheckedHealth] = {}
        self._order: Sequence[EndpointState] = ()
        self._available: Sequence[EndpointState] = ()
        self._balancer: Balancer | None = None
        self._kind: tuple[object, ...] = ()
        self._due = _NEVER
        self.outlier: OutlierDetector | None = None
        """Watches how attempts end, where that is configured."""
        self.panic = False
        """Whether health is ignored, because too little is healthy."""
        self.ejections: Counter[Cause] = Counter()
        """How often something was ejected, and for what, since the start or the last `clear`."""
        self.pick: Pick = self._none
        """The endpoint for an attempt, or None. It is the balancer's own where nothing depends on the time."""
        self.configure(config, now)
        for member in self._members.values():
            member.since = -_NEVER  # slow start is for those that join others

    def configure(self, config: HopConfig, now: float) -> None:
        """Go on with other settings and other addresses; what is known of those that stay, is kept."""
        self._config = config
        settings = config.balancing
        before = self._members
        self._members = {}
        order = []
        for upstream in self._expanded(config.upstreams):
            endpoint = parse_endpoint(upstream)
            if config.upstream_tls.enabled is not None:
                endpoint = replace(endpoint, tls=config.upstream_tls.enabled)
            member = self._members.get(endpoint.text) or before.get(endpoint.text) or EndpointState(endpoint, now)
            member.endpoint = endpoint
            self._members[endpoint.text] = member
            member.weight = settings.weights.get(endpoint.text, 1)
            order.append(member)
        self._order = tuple(order)
        self._slow_start = SlowStart(settings.slow_start)
        self._set_draining(settings, now)
        self._configure_checks(config, now)
        self._configure_outlier(config, now)
        self._renew(now)

    def discovered(self, found: Mapping[str, Sequence[str]], now: float) -> None:
        """Have other endpoints in the place of some upstreams: for each of these, where it was found to be."""
        before = self._members
        self._found = found
        self.configure(self._config, now)
        for address in before.keys() - self._members.keys():
            self._listener(before[address], "removed", "discovery")
        for address in self._members.keys() - before.keys():
            self._listener(self._members[address], "added", "discovery")

    def _expanded(self, upstreams: Iterable[str]) -> Iterable[str]:
        return (address for upstream in upstreams for address in self._found.get(upstream) or (upstream,))

    def _set_draining(self, settings: BalancingSettings, now: float) -> None:
        for address, member in self._members.items():
            draining = address in settings.drain
            if member.draining and not draining:
                member.since = now
            if member.draining is not draining:
                member.draining = draining
                self._listener(member, state_of(member), "drain" if draining else "drain is over")

    def _configure_checks(self, config: HopConfig, now: float) -> None:
        on = config.health.enabled
        self._checks = {each: self._checks.get(each) or CheckedHealth() for each in self._members.values() if on}
        for member in self._members.values():
            if not on and not member.healthy:
                member.healthy, member.since = True, now
                self._listener(member, state_of(member), "health checks are off")

    def _configure_outlier(self, config: HopConfig, now: float) -> None:
        settings = config.outlier
        if self.outlier is not None and not settings.enabled:
            self.outlier.clear(now)
            self.outlier = None
        elif self.outlier is not None:
            self.outlier.configure(settings, now)
        elif settings.enabled:
            self.outlier = OutlierDetector(settings, self._ejection_changed, now)
        if self.outlier is not None:
            self.outlier.watch(self._members.values())

    # -- what becomes known of endpoints ---------------------------------------------------------------

    def report(self, address: str, error: ErrorType | None, status: int | None, now: float) -> None:
        """Say how an attempt at the endpoint of this address ended, which may be gone since."""
        outlier, endpoint = self.outlier, self._members.get(address)
        if outlier is None or endpoint is None:
            return
        was_ejected = endpoint.ejected
        outlier.report(endpoint, error, status, now)
        if endpoint.ejected is not was_ejected:
            self._renew(now)

    def checked(self, endpoint: EndpointState, passed: bool, words: str, now: float) -> None:
        """Say what came of an active check; one of an endpoint that is no longer checked is ignored."""
        health = self._checks.get(endpoint)
        if health is None or not health.observe(self._config.health, passed, words):
            return
        endpoint.healthy = passed
        if passed:
            endpoint.since = now
        self._listener(endpoint, state_of(endpoint), words)
        self._renew(now)

    def look(self, now: float) -> None:
        """Do what is due by now: ejections end, slow starts are over."""
        if now < self._due:
            return
        if self.outlier is not None and now >= self.outlier.due:
            self.outlier.look(now)
        self._renew(now)

    def clear(self, now: float) -> None:
        """Forget what checks and outcomes told of endpoints: each is as good as any other."""
        if self.outlier is not None:
            self.outlier.clear(now)
        for member in self._members.values():
            member.healthy, member.since = True, -_NEVER
        self._checks.clear()
        self.ejections.clear()
        self.configure(self._config, now)

    def _ejection_changed(self, endpoint: EndpointState, why: Cause | None) -> None:
        if why is not None:
            self.ejections[why] += 1
        self._listener(endpoint, state_of(endpoint), "ejection is over" if why is None else why.value)

    # -- who gets requests -----------------------------------------------------------------------------

    def _renew(self, now: float) -> None:
        """Find out who is available, and let a balancer that fits choose among them."""
        settings = self._config.balancing
        candidates = [each for each in self._order if not each.draining]
        available = [each for each in candidates if each.healthy and not each.ejected]
        # A panic without candidates would be one for nothing.
        self.panic = 100 * len(available) < settings.panic_threshold * len(candidates)
        self._available = tuple(candidates if self.panic else available)
        warming = [end for each in self._available if (end := self._slow_start.ends(each)) > now]
        if not self._slow_start.window or settings.policy == "maglev":
            warming = []
        dues = [*warming, *([self.outlier.due] if self.outlier is not None else [])]
        self._due = min(dues, default=_NEVER)
        self.pick = self._none
        if self._available:
            self._choose_balancer(weighted=bool(warming) or len({each.weight for each in self._available}) > 1)
            assert self._balancer is not None
            self.pick = self._balancer.pick
        if dues:
            self.pick = self._pick_in_time

    def _choose_balancer(self, *, weighted: bool) -> None:
        """Keep the balancer, and with it whose turn it is, as long as it is of the right kind."""
        settings = self._config.balancing
        kind = (settings.policy, settings.selection, settings.choice_count, settings.table_size, weighted)
        if self._balancer is None or kind != self._kind:
            self._balancer, self._kind = self._made(weighted=weighted), kind
        else:
            self._balancer.update(self._available)

    def _made(self, *, weighted: bool) -> Balancer:
        settings, endpoints, rand = self._config.balancing, self._available, self._rand
        weigh = self._weigh if weighted else None
        match settings.policy:
            case "round_robin":
                return RoundRobin(endpoints) if weigh is None else WeightedRoundRobin(endpoints, weigh)
            case "random":
                return RandomChoice(endpoints, rand, weigh)
            case "maglev":
                return Maglev(endpoints, rand, settings.table_size)
            case "least_request":
                if settings.selection == "full_scan":
                    return LeastRequest(endpoints, weigh)
                return FewChoices(endpoints, rand, settings.choice_count, weigh)

    def _weigh(self, endpoint: EndpointState, now: float) -> float:
        return self._slow_start.weigh(endpoint, now)

    def _pick_in_time(
        self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None
    ) -> EndpointState | None:
        if now >= self._due:
            self.look(now)
        if not self._available or self._balancer is None:
            return None
        return self._balancer.pick(tried, now, key)

    def _none(
        self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None
    ) -> EndpointState | None:
        return None

    @property
    def available(self) -> Sequence[EndpointState]:
        """Those that get requests, as of the last look."""
        return self._available

    @property
    def members(self) -> Iterable[EndpointState]:
        """All of them, each once, in the configured order."""
        return self._members.values()

    def why_none(self) -> str:
        """Why `pick` returned None, in words."""
        states = [state_of(each) for each in self._members.values()]
        counted = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        return f"no healthy endpoint: {', '.join(counted)}"

    def retry_after(self, now: float) -> float | None:
        """Seconds until the first ejection ends; None where nothing is known to end."""
        if self.outlier is None:
            return None
        ends = [self.outlier.until(each) for each in self._members.values() if state_of(each) == "ejected"]
        return max(0.0, min((end for end in ends if end is not None), default=now) - now) if ends else None

    def snapshot(self, now: float) -> list[dict[str, Any]]:
        """Each endpoint as JSON: address, state, active requests, weight, and what checks and outcomes told."""
        self.look(now)
        return [self._described(each, now) for each in self._members.values()]

    def _described(self, endpoint: EndpointState, now: float) -> dict[str, Any]:
        check = self._checks.get(endpoint)
        described = {
            "address": endpoint.endpoint.text,
            "state": state_of(endpoint),
            "active": endpoint.active,
            "weight": round(self._slow_start.weigh(endpoint, now), 3),
            "last_check": None if check is None else check.last,
        }
        if self.outlier is not None:
            described["outlier"] = self.outlier.snapshot(endpoint, now)
        return described
