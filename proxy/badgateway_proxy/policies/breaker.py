"""A circuit breaker: stops sending to an upstream that fails, and finds out when it has recovered.

Pure: no clock, no I/O; ``now`` is a parameter, in seconds of any monotonic clock. Semantics and defaults
are resilience4j's (https://resilience4j.readme.io/docs/circuitbreaker; `settings.BreakerSettings` names each
of its properties), except that here

* a report from before the last change of state is ignored; resilience4j counts it into the new state;
* it leaves the open state by itself once ``open_for`` has passed, without a thread, since every look at it
  takes ``now`` (resilience4j: only with automaticTransitionFromOpenToHalfOpenEnabled);
* half-open is decided when all probes are back, or as soon as they can only fail; resilience4j may decide
  after minimumNumberOfCalls;
* a probe whose outcome says nothing (the client left) hands its permit to the next call;
* a time window moves in sixtieths of its size, not in seconds, so that windows of a few seconds work;
* which statuses are failures is a setting (``failure_statuses``), which errors are is in `ERROR_TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from badgateway_proxy.configuration.settings import BreakerSettings, CountWindow
from badgateway_proxy.error_types import ERROR_TABLE, ErrorType
from badgateway_proxy.policies.breaker_window import CountedCalls, TimedCalls, Totals


class State(StrEnum):
    """What the breaker does with calls: lets them through, refuses them, lets a few through to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class Event(StrEnum):
    """What changes the state: the first five happen by themselves, the others are orders."""

    THRESHOLD_REACHED = "threshold reached"
    WAITED = "open_for passed"
    PROBES_PASSED = "probes passed"
    PROBES_FAILED = "probes failed"
    PROBES_OVERDUE = "max_half_open passed"
    FORCE_OPEN = "force_open"
    FORCE_CLOSED = "force_closed"
    RESET = "reset"
    DISABLE = "disable"


_ORDERS: Final = (
    (Event.FORCE_OPEN, State.FORCED_OPEN),
    (Event.FORCE_CLOSED, State.CLOSED),
    (Event.RESET, State.CLOSED),
    (Event.DISABLE, State.DISABLED),
)

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.CLOSED, Event.THRESHOLD_REACHED): State.OPEN,
        (State.OPEN, Event.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.PROBES_PASSED): State.CLOSED,
        (State.HALF_OPEN, Event.PROBES_FAILED): State.OPEN,
        (State.HALF_OPEN, Event.PROBES_OVERDUE): State.OPEN,
    }
    | {(state, order): goal for state in State for order, goal in _ORDERS}
)
"""The whole state machine. A pair that is not here cannot happen: looking it up is a bug, and a KeyError."""


class Outcome(StrEnum):
    """How a call ended. ``ignored`` says nothing about the upstream: the client left, or was wrong."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


def outcome_of(settings: BreakerSettings, error: ErrorType | None, status: int | None) -> Outcome:
    """How a call counts that ended in ``error``, or with ``status`` from the upstream, or in neither."""
    if error is not None:
        return Outcome.FAILURE if ERROR_TABLE[error].breaker else Outcome.IGNORED
    if status is None:
        return Outcome.IGNORED
    return _FAILURE if status in settings.failure_statuses else _SUCCESS


# Looking up an enum's member takes as long as a call, and these are needed for every request.
_CLOSED: Final = State.CLOSED
_SUCCESS, _FAILURE, _IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


class Permit:
    """Leave for one call. Report it exactly once, whatever became of the call; a second report is ignored."""

    __slots__ = ("generation", "spent")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.spent = False


Listener = Callable[[State, State, Event], None]
"""Called with (old state, new state, why) on every change, from within the call that brought it about."""


class Breaker:
    """One upstream's circuit breaker. Not thread-safe: one event loop uses it."""

    def __init__(self, settings: BreakerSettings, listener: Listener | None = None) -> None:
        self._listener = listener
        self._generation = 0
        self.current = State.CLOSED
        """The state as of the last call; unlike `state` it does not look at the clock."""
        self._since = 0.0
        self._permits_left = 0
        self._verdict: Totals = (0, 0, 0)
        self.refused = 0
        """Calls refused since the start or the last reset."""
        self.opened = 0
        """How often it opened by itself since the start or the last reset."""
        self._adopt(settings)
        if not settings.enabled:
            self.current = State.DISABLED

    def try_acquire(self, now: float) -> Permit | None:
        """Leave for one call, to be reported; None: refused, see `retry_after`."""
        state = self.current
        if state is _CLOSED or state is State.DISABLED:
            return Permit(self._generation)
        if self.state(now) is State.HALF_OPEN and self._permits_left > 0:
            self._permits_left -= 1
            return Permit(self._generation)
        self.refused += 1
        return None

    def report(self, permit: Permit, outcome: Outcome, duration: float, now: float) -> None:
        """Say how the call of ``permit`` ended, after ``duration`` seconds.

        Ignored when the breaker has changed its state since the permit was given, or it was reported before.
        """
        if permit.spent or permit.generation != self._generation:
            return
        permit.spent = True
        state = self.current
        if state is _CLOSED:
            if outcome is not _IGNORED:
                calls, failures, slow_calls = self._window.add(outcome is _FAILURE, duration > self._slow_call, now)
                if (failures or slow_calls) and calls >= self._minimum and self._too_many(failures, slow_calls, calls):
                    self._transition(Event.THRESHOLD_REACHED, now)
        elif state is State.HALF_OPEN:
            self._count_probe(outcome, duration, now)

    def state(self, now: float) -> State:
        """The state at ``now``; moves on by itself when its time is up."""
        if self.current is State.OPEN and now - self._since >= self._settings.open_for:
            self._transition(Event.WAITED, now)
        elif self.current is State.HALF_OPEN:
            limit = self._settings.max_half_open
            if limit and now - self._since >= limit:
                self._transition(Event.PROBES_OVERDUE, now)
        return self.current

    def retry_after(self, now: float) -> float:
        """Seconds after which a call may be let through again; 0 when one may be now.

        An estimate where nobody knows: ``open_for`` while forced open, a second while all probes are out.
        """
        state = self.state(now)
        if state is State.OPEN:
            return max(0.0, self._since + self._settings.open_for - now)
        if state is State.FORCED_OPEN:
            return self._settings.open_for
        if state is State.HALF_OPEN and self._permits_left == 0:
            return 1.0
        return 0.0

    def force_open(self, now: float) -> None:
        """Refuse every call until told otherwise."""
        self._transition(Event.FORCE_OPEN, now)

    def force_closed(self, now: float) -> None:
        """Close, with an empty window; it may open again by itself."""
        self._transition(Event.FORCE_CLOSED, now)

    def disable(self, now: float) -> None:
        """Let every call through and measure nothing until told otherwise."""
        self._transition(Event.DISABLE, now)

    def reset(self, now: float) -> None:
        """Back to how it started: closed (or disabled, if the settings say so), nothing counted."""
        self._transition(Event.RESET if self._settings.enabled else Event.DISABLE, now)
        self.refused = self.opened = 0

    def reconfigure(self, settings: BreakerSettings, now: float) -> None:
        """Go on with other settings. The state stays unless ``enabled`` changed; the counts are forgotten."""
        enabled, was_enabled = settings.enabled, self._settings.enabled
        self._adopt(settings)
        if enabled != was_enabled:
            self._transition(Event.RESET if enabled else Event.DISABLE, now)

    def snapshot(self, now: float) -> dict[str, Any]:
        """State and figures as JSON: of the window, the probes while half-open, what opened it while open.

        Rates are percentages, null while there are too few calls.
        """
        state = self.state(now)
        calls, failures, slow = self._totals(now)
        enough = calls >= self._minimum or (state is State.OPEN and calls > 0)
        return {
            "state": state.value,
            "failure_rate": round(100 * failures / calls, 1) if enough else None,
            "slow_call_rate": round(100 * slow / calls, 1) if enough else None,
            "calls": calls,
            "failures": failures,
            "slow_calls": slow,
            "refused": self.refused,
            "opened": self.opened,
            "probes_left": self._permits_left if state is State.HALF_OPEN else None,
            "retry_after": round(self.retry_after(now), 3),
        }

    def _totals(self, now: float) -> Totals:
        if self.current is State.HALF_OPEN:
            return self._probes, self._probe_failures, self._slow_probes
        if self.current is State.OPEN:
            return self._verdict
        return self._window.totals(now)

    def _adopt(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._slow_call = settings.slow_call
        window = settings.window
        counts = isinstance(window, CountWindow)
        # More than the window holds can never be reached: resilience4j caps it too.
        self._minimum = min(settings.minimum_calls, window.size) if counts else settings.minimum_calls
        self._renew()

    def _renew(self) -> None:
        """Forget what was counted, and make every permit that is out stale."""
        window = self._settings.window
        self._window = CountedCalls(window.size) if isinstance(window, CountWindow) else TimedCalls(window.size)
        self._generation += 1
        self._permits_left = self._settings.permitted_probes
        self._probes = self._probe_failures = self._slow_probes = 0

    def _transition(self, event: Event, now: float) -> None:
        old, new = self.current, TRANSITIONS[self.current, event]
        if new is State.OPEN:
            self._verdict = self._totals(now)
        self.current = new
        self._since = now
        self._renew()
        if event in (Event.THRESHOLD_REACHED, Event.PROBES_FAILED, Event.PROBES_OVERDUE):
            self.opened += 1
        if self._listener is not None and new is not old:
            self._listener(old, new, event)

    def _count_probe(self, outcome: Outcome, duration: float, now: float) -> None:
        if outcome is Outcome.IGNORED:
            self._permits_left += 1
            return
        self._probes += 1
        self._probe_failures += outcome is Outcome.FAILURE
        self._slow_probes += duration > self._slow_call
        permitted = self._settings.permitted_probes
        # Measured against all probes: what is already too many of them stays so, whatever the others bring.
        if self._too_many(self._probe_failures, self._slow_probes, permitted):
            self._transition(Event.PROBES_FAILED, now)
        elif self._probes == permitted:
            self._transition(Event.PROBES_PASSED, now)

    def _too_many(self, failures: int, slow_calls: int, calls: int) -> bool:
        settings = self._settings
        return failures * 100 >= settings.failure_rate * calls or slow_calls * 100 >= settings.slow_call_rate * calls
