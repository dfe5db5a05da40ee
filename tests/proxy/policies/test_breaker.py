"""The breaker by tables, and against a naive model of it that remembers everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from badgateway_proxy.configuration.settings import BreakerSettings
from badgateway_proxy.error_types import ERROR_TABLE, ErrorType
from badgateway_proxy.policies.breaker import TRANSITIONS, Breaker, Event, Outcome, Permit, State, outcome_of

FAST, SLOW = 0.1, 2.0


def settings(**changes: Any) -> BreakerSettings:
    defaults: dict[str, Any] = {
        "window": {"size": 4},
        "minimum_calls": 4,
        "slow_call": "1s",
        "open_for": "10s",
        "permitted_probes": 2,
    }
    return BreakerSettings.model_validate(defaults | changes)


def call(breaker: Breaker, outcome: Outcome, duration: float = FAST, now: float = 0.0) -> None:
    permit = breaker.try_acquire(now)
    assert permit is not None
    breaker.report(permit, outcome, duration, now)


def opened(**changes: Any) -> Breaker:
    breaker = Breaker(settings(**changes))
    for _ in range(4):
        call(breaker, Outcome.FAILURE)
    assert breaker.state(0.0) is State.OPEN
    return breaker


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("order", [Event.FORCE_OPEN, Event.FORCE_CLOSED, Event.RESET, Event.DISABLE])
def test_every_order_is_possible_in_every_state(state: State, order: Event) -> None:
    assert (state, order) in TRANSITIONS


def test_what_happens_by_itself_happens_in_one_state_only() -> None:
    by_itself = {Event.THRESHOLD_REACHED, Event.WAITED, Event.PROBES_PASSED, Event.PROBES_FAILED, Event.PROBES_OVERDUE}
    assert {event: state for state, event in TRANSITIONS if event in by_itself}.keys() == by_itself
    assert sum(event in by_itself for _, event in TRANSITIONS) == len(by_itself)


@pytest.mark.parametrize(
    ("calls", "changes", "state"),
    [
        ("fff", {}, State.CLOSED),
        ("ffff", {}, State.OPEN),
        ("ffss", {}, State.OPEN),
        ("fsss", {}, State.CLOSED),
        ("fsssf", {}, State.CLOSED),
        ("fsssff", {}, State.OPEN),
        ("sssfs", {}, State.CLOSED),
        ("ff", {"minimum_calls": 2}, State.OPEN),
        ("sf", {"minimum_calls": 1}, State.OPEN),
        ("ffff", {"minimum_calls": 100}, State.OPEN),
        ("ffff", {"window": {"size": "60s"}, "minimum_calls": 100}, State.CLOSED),
        ("ffff", {"window": {"size": "60s"}}, State.OPEN),
        ("lll", {}, State.CLOSED),
        ("llll", {}, State.OPEN),
        ("llls", {}, State.CLOSED),
        ("ssll", {"slow_call_rate": 50}, State.OPEN),
        ("sfss", {"failure_rate": 25}, State.OPEN),
        ("sfss", {"failure_rate": 25.1}, State.CLOSED),
        ("iiiiiiii", {}, State.CLOSED),
        ("fffi", {}, State.CLOSED),
        ("ffff", {"enabled": False}, State.DISABLED),
    ],
)
def test_opens_at_its_thresholds(calls: str, changes: dict[str, Any], state: State) -> None:
    breaker = Breaker(settings(**changes))
    meaning = {
        "s": (Outcome.SUCCESS, FAST),
        "f": (Outcome.FAILURE, FAST),
        "l": (Outcome.SUCCESS, SLOW),
        "i": (Outcome.IGNORED, SLOW),
    }
    for letter in calls:
        call(breaker, *meaning[letter])
    assert breaker.state(0.0) is state


def test_old_calls_leave_a_time_window() -> None:
    breaker = Breaker(settings(window={"size": "60s"}))
    for now in (0.0, 30.0, 70.0, 80.0):
        call(breaker, Outcome.FAILURE, now=now)
    assert breaker.state(80.0) is State.CLOSED
    call(breaker, Outcome.FAILURE, now=81.0)
    assert breaker.state(81.0) is State.OPEN


def test_open_refuses_and_says_how_long() -> None:
    breaker = opened()
    assert breaker.try_acquire(3.0) is None
    assert breaker.retry_after(3.0) == 7.0
    assert breaker.snapshot(3.0) == {
        "state": "open",
        "failure_rate": 100.0,
        "slow_call_rate": 0.0,
        "calls": 4,
        "failures": 4,
        "slow_calls": 0,
        "refused": 1,
        "opened": 1,
        "probes_left": None,
        "retry_after": 7.0,
    }


def test_lets_probes_through_once_it_has_waited() -> None:
    breaker = opened()
    assert breaker.state(9.9) is State.OPEN
    assert breaker.state(10.0) is State.HALF_OPEN
    assert breaker.retry_after(10.0) == 0.0
    assert breaker.try_acquire(10.0) is not None
    assert breaker.try_acquire(10.0) is not None
    assert breaker.try_acquire(10.0) is None
    assert breaker.retry_after(10.0) == 1.0


@pytest.mark.parametrize(
    ("probes", "state"),
    [
        ("s", State.HALF_OPEN),
        ("ss", State.CLOSED),
        ("f", State.OPEN),
        ("sf", State.OPEN),
    ],
)
def test_probes_decide(probes: str, state: State) -> None:
    breaker = opened()
    for letter in probes:
        call(breaker, Outcome.SUCCESS if letter == "s" else Outcome.FAILURE, now=10.0)
    assert breaker.state(10.0) is state


def test_slow_probes_open_it_again() -> None:
    breaker = opened()
    call(breaker, Outcome.SUCCESS, SLOW, now=10.0)
    assert breaker.state(10.0) is State.HALF_OPEN
    call(breaker, Outcome.SUCCESS, SLOW, now=10.0)
    assert breaker.state(10.0) is State.OPEN
    assert breaker.retry_after(10.0) == 10.0
    assert breaker.snapshot(10.0)["slow_call_rate"] == 100.0


def test_an_abandoned_probe_gives_its_permit_back() -> None:
    breaker = opened(permitted_probes=1)
    permit = breaker.try_acquire(10.0)
    assert permit is not None
    assert breaker.try_acquire(10.0) is None
    breaker.report(permit, Outcome.IGNORED, FAST, 11.0)
    breaker.report(permit, Outcome.IGNORED, FAST, 11.0)
    assert breaker.try_acquire(11.0) is not None
    assert breaker.try_acquire(11.0) is None


def test_waits_for_its_probes_for_ever_unless_told() -> None:
    breaker = opened()
    assert breaker.state(1e9) is State.HALF_OPEN
    assert breaker.state(2e9) is State.HALF_OPEN
    impatient = opened(max_half_open="5s")
    assert impatient.state(10.0) is State.HALF_OPEN
    assert impatient.state(14.9) is State.HALF_OPEN
    assert impatient.state(15.0) is State.OPEN
    assert impatient.state(25.0) is State.HALF_OPEN


def test_stale_reports_are_ignored() -> None:
    breaker = Breaker(settings())
    stale = [breaker.try_acquire(0.0) for _ in range(10)]
    for _ in range(4):
        call(breaker, Outcome.FAILURE)
    breaker.state(10.0)
    for permit in stale:
        assert permit is not None
        breaker.report(permit, Outcome.FAILURE, FAST, 10.0)
    assert breaker.state(10.0) is State.HALF_OPEN
    call(breaker, Outcome.SUCCESS, now=10.0)
    call(breaker, Outcome.SUCCESS, now=10.0)
    assert breaker.state(10.0) is State.CLOSED


def test_a_second_report_is_ignored() -> None:
    breaker = Breaker(settings())
    permit = breaker.try_acquire(0.0)
    assert permit is not None
    for _ in range(10):
        breaker.report(permit, Outcome.FAILURE, FAST, 0.0)
    assert breaker.snapshot(0.0)["calls"] == 1


def test_forced_open_stays_so() -> None:
    breaker = Breaker(settings())
    breaker.force_open(0.0)
    assert breaker.state(1e9) is State.FORCED_OPEN
    assert breaker.try_acquire(1e9) is None
    assert breaker.retry_after(1e9) == 10.0
    breaker.force_closed(1e9)
    assert breaker.try_acquire(1e9) is not None


def test_disabled_lets_everything_through() -> None:
    breaker = opened()
    breaker.disable(1.0)
    for _ in range(20):
        call(breaker, Outcome.FAILURE, now=1.0)
    assert breaker.state(1.0) is State.DISABLED
    assert breaker.retry_after(1.0) == 0.0


def test_reset_is_back_to_the_start() -> None:
    breaker = opened()
    breaker.try_acquire(0.0)
    breaker.reset(1.0)
    assert breaker.snapshot(1.0) == Breaker(settings()).snapshot(1.0)
    off = Breaker(settings(enabled=False))
    off.force_open(0.0)
    off.reset(0.0)
    assert off.state(0.0) is State.DISABLED


def test_other_settings_while_it_is_open_count_from_when_it_opened() -> None:
    breaker = opened()
    breaker.reconfigure(settings(open_for="20s"), 5.0)
    assert breaker.state(19.9) is State.OPEN
    breaker.reconfigure(settings(open_for="5s"), 19.9)
    assert breaker.state(19.9) is State.HALF_OPEN


def test_other_settings_can_switch_it_off_and_on() -> None:
    breaker = opened()
    breaker.reconfigure(settings(enabled=False), 1.0)
    assert breaker.state(1.0) is State.DISABLED
    breaker.reconfigure(settings(), 2.0)
    assert breaker.state(2.0) is State.CLOSED


def test_other_settings_forget_what_was_counted() -> None:
    breaker = Breaker(settings())
    old = breaker.try_acquire(0.0)
    assert old is not None
    for _ in range(3):
        call(breaker, Outcome.FAILURE)
    breaker.reconfigure(settings(failure_rate=40), 0.0)
    breaker.report(old, Outcome.FAILURE, FAST, 0.0)
    assert breaker.snapshot(0.0)["calls"] == 0


def test_tells_its_listener_what_changed_and_why() -> None:
    told: list[tuple[State, State, Event]] = []
    breaker = Breaker(settings(), lambda old, new, why: told.append((old, new, why)))
    breaker.force_closed(0.0)
    for _ in range(4):
        call(breaker, Outcome.FAILURE)
    breaker.try_acquire(10.0)
    call(breaker, Outcome.FAILURE, now=10.0)
    assert told == [
        (State.CLOSED, State.OPEN, Event.THRESHOLD_REACHED),
        (State.OPEN, State.HALF_OPEN, Event.WAITED),
        (State.HALF_OPEN, State.OPEN, Event.PROBES_FAILED),
    ]


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (None, 200, Outcome.SUCCESS),
        (None, 404, Outcome.SUCCESS),
        (None, 500, Outcome.FAILURE),
        (None, 501, Outcome.SUCCESS),
        (None, 503, Outcome.FAILURE),
        (None, None, Outcome.IGNORED),
        (ErrorType.CONNECTION_REFUSED, None, Outcome.FAILURE),
        (ErrorType.HTTP_RESPONSE_INCOMPLETE, 200, Outcome.FAILURE),
        (ErrorType.HTTP_REQUEST_ERROR, None, Outcome.IGNORED),
        (ErrorType.DESTINATION_UNAVAILABLE, None, Outcome.IGNORED),
    ],
)
def test_what_counts_as_a_failure(error: ErrorType | None, status: int | None, outcome: Outcome) -> None:
    assert outcome_of(settings(), error, status) is outcome


@pytest.mark.parametrize("error", list(ErrorType))
def test_errors_count_as_the_table_says(error: ErrorType) -> None:
    assert (outcome_of(settings(), error, None) is Outcome.FAILURE) == ERROR_TABLE[error].breaker


class NaiveBreaker:
    """The same rules, told plainly: it remembers every call of the present state and counts them anew each time."""

    def __init__(self, rules: BreakerSettings, size: int) -> None:
        self.rules, self.size = rules, size
        self.enter(State.CLOSED, 0.0)

    def enter(self, state: State, now: float) -> None:
        self.state, self.since, self.calls, self.out = state, now, list[tuple[bool, bool]](), 0
        self.epoch = object()

    def look(self, now: float) -> State:
        if self.state is State.OPEN and now - self.since >= self.rules.open_for:
            self.enter(State.HALF_OPEN, now)
        return self.state

    def acquire(self, now: float) -> object | None:
        state = self.look(now)
        if state in (State.OPEN, State.FORCED_OPEN):
            return None
        if state is State.HALF_OPEN and self.out + len(self.calls) >= self.rules.permitted_probes:
            return None
        self.out += 1
        return self.epoch

    def report(self, epoch: object, outcome: Outcome, duration: float, now: float) -> None:
        if epoch is not self.epoch:
            return
        self.out -= 1
        if outcome is Outcome.IGNORED or self.state is State.DISABLED:
            return
        self.calls.append((outcome is Outcome.FAILURE, duration > self.rules.slow_call))
        if self.state is State.CLOSED:
            seen = self.calls[-self.size :]
            if len(seen) >= min(self.rules.minimum_calls, self.size) and self.bad(seen, len(seen)):
                self.enter(State.OPEN, now)
        elif self.state is State.HALF_OPEN:
            if self.bad(self.calls, self.rules.permitted_probes):
                self.enter(State.OPEN, now)
            elif len(self.calls) == self.rules.permitted_probes:
                self.enter(State.CLOSED, now)

    def bad(self, calls: list[tuple[bool, bool]], of: int) -> bool:
        failures, slow = sum(failed for failed, _ in calls), sum(slow for _, slow in calls)
        return 100 * failures / of >= self.rules.failure_rate or 100 * slow / of >= self.rules.slow_call_rate


class BreakerAgainstModel(RuleBasedStateMachine):
    """Any order of calls, reports, waits and orders: both agree on every permit and every state."""

    permits = Bundle[tuple[Permit, object]]("permits")

    def __init__(self) -> None:
        super().__init__()
        rules = settings(window={"size": 3}, minimum_calls=2)
        self.breaker, self.model, self.now = Breaker(rules), NaiveBreaker(rules, size=3), 0.0

    @rule(target=permits)
    def acquire(self) -> Any:
        permit, expected = self.breaker.try_acquire(self.now), self.model.acquire(self.now)
        assert (permit is None) == (expected is None)
        return (permit, expected)

    @rule(
        pair=consumes(permits),
        outcome=st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE, Outcome.FAILURE, Outcome.IGNORED]),
        duration=st.sampled_from([FAST, SLOW]),
    )
    def report(self, pair: tuple[Permit | None, object], outcome: Outcome, duration: float) -> None:
        permit, epoch = pair
        if permit is not None:
            self.model.report(epoch, outcome, duration, self.now)
            self.breaker.report(permit, outcome, duration, self.now)

    @rule(pause=st.sampled_from([0.5, 9.0, 10.0]))
    def wait(self, pause: float) -> None:
        self.now += pause

    @rule(order=st.sampled_from([State.FORCED_OPEN, State.CLOSED, State.DISABLED]))
    def command(self, order: State) -> None:
        orders: dict[State, Callable[[float], None]] = {
            State.FORCED_OPEN: self.breaker.force_open,
            State.CLOSED: self.breaker.force_closed,
            State.DISABLED: self.breaker.disable,
        }
        orders[order](self.now)
        self.model.enter(order, self.now)

    @invariant()
    def same_state(self) -> None:
        assert self.breaker.state(self.now) is self.model.look(self.now)


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
