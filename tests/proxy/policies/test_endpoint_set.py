from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.config import HopConfig, load_config
from badgateway_proxy.error_types import ErrorType
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.endpoint_set import EndpointSet, state_of
from badgateway_proxy.policies.least_request import FewChoices, LeastRequest
from badgateway_proxy.policies.maglev import Maglev
from badgateway_proxy.policies.random_choice import RandomChoice
from badgateway_proxy.policies.round_robin import RoundRobin, WeightedRoundRobin

A, B, C = "127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"


def config(*upstreams: str, **settings: Any) -> HopConfig:
    return load_config({"upstreams": upstreams or (A, B, C), **settings})


class Probed:
    """A set of endpoints with a log of what its listener was told."""

    def __init__(self, *upstreams: str, **settings: Any) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.set = EndpointSet(config(*upstreams, **settings), random.Random(1).random, self._tell, 0.0)

    def _tell(self, endpoint: EndpointState, state: str, why: str) -> None:
        self.told.append((endpoint.endpoint.text, state, why))

    def __getitem__(self, address: str) -> EndpointState:
        return next(each for each in self.set.members if each.endpoint.text == address)

    def configure(self, *upstreams: str, now: float = 0.0, **settings: Any) -> None:
        self.set.configure(config(*upstreams, **settings), now)

    def picks(self, count: int, now: float = 0.0) -> Counter[str | None]:
        picked = [self.set.pick((), now) for _ in range(count)]
        return Counter(None if each is None else each.endpoint.text for each in picked)

    def states(self, now: float = 0.0) -> dict[str, str]:
        return {each["address"]: each["state"] for each in self.set.snapshot(now)}

    def fail(self, address: str, now: float = 0.0, times: int = 5) -> None:
        for _ in range(times):
            self.set.report(address, ErrorType.CONNECTION_REFUSED, None, now)


CHECKED: dict[str, Any] = {"health": {"enabled": True}}
WATCHED: dict[str, Any] = {"outlier": {"enabled": True, "max_ejection_percent": 100.0}}
NO_PANIC: dict[str, Any] = {"balancing": {"panic_threshold": 0}}


@pytest.mark.parametrize(
    ("balancing", "kind"),
    [
        ({}, RoundRobin),
        ({"weights": {A: 2}}, WeightedRoundRobin),
        ({"weights": {"http://127.0.0.1:9001/": 2}}, WeightedRoundRobin),
        ({"weights": {A: 2, B: 2, C: 2}}, RoundRobin),
        ({"policy": "random"}, RandomChoice),
        ({"policy": "least_request"}, FewChoices),
        ({"policy": "least_request", "selection": "full_scan"}, LeastRequest),
        ({"policy": "maglev"}, Maglev),
    ],
)
def test_settings_choose_the_balancer_and_a_plain_one_is_asked_directly(balancing: dict[str, Any], kind: type) -> None:
    tested = Probed(balancing=balancing)
    assert isinstance(getattr(tested.set.pick, "__self__"), kind)  # noqa: B009 - a bound method's own, unknown to Pick
    assert sum(tested.picks(60).values()) == 60


def test_weights_are_shares() -> None:
    assert Probed(balancing={"weights": {A: 4, B: 1}}).picks(60) == {A: 40, B: 10, C: 10}


def test_an_address_given_twice_is_one_endpoint_with_two_turns() -> None:
    tested = Probed(A, A, B)
    assert tested.picks(30) == {A: 20, B: 10}
    assert list(tested.states()) == [A, B]


# -- draining, and other addresses ---------------------------------------------------------------------


def test_a_draining_endpoint_gets_nothing_new_and_keeps_what_it_has() -> None:
    tested = Probed()
    tested[B].active = 3
    tested.configure(balancing={"drain": [B]})
    assert tested.picks(30) == {A: 15, C: 15}
    (drained,) = [each for each in tested.set.snapshot(0.0) if each["address"] == B]
    assert (drained["state"], drained["active"]) == ("draining", 3)
    tested.configure()
    assert tested.picks(30) == {A: 10, B: 10, C: 10}
    assert tested.told == [(B, "draining", "drain"), (B, "healthy", "drain is over")]


def test_all_draining_is_nobody_whatever_the_panic_threshold() -> None:
    tested = Probed(A, B, balancing={"drain": [A, B], "panic_threshold": 100})
    assert tested.picks(3) == {None: 3}
    assert tested.set.why_none() == "no healthy endpoint: 2 draining"
    assert not tested.set.panic


def test_other_addresses_leave_what_is_known_of_those_that_stay() -> None:
    tested = Probed(**WATCHED)
    tested.fail(B)
    tested[A].active = 2
    known = tested[A]
    tested.configure(A, B, "127.0.0.1:9009", **WATCHED)
    assert tested[A] is known
    assert tested.states() == {A: "healthy", B: "ejected", "127.0.0.1:9009": "healthy"}
    tested.configure(C, **WATCHED)
    assert tested.states() == {C: "healthy"}
    tested.set.report(
        known.endpoint.text, ErrorType.CONNECTION_REFUSED, None, 0.0
    )  # an attempt that was still under way


def test_endpoints_that_were_found_stand_in_an_upstream_s_place_until_none_is() -> None:
    probed = Probed("app:9001", C)
    probed.set.discovered({"app:9001": (B, A)}, 1.0)
    assert probed.picks(6) == {A: 2, B: 2, C: 2}
    assert sorted(probed.told) == [
        (A, "added", "discovery"), (B, "added", "discovery"), ("app:9001", "removed", "discovery")
    ]  # fmt: skip
    kept = probed[B]
    probed.set.discovered({"app:9001": (B,)}, 2.0)
    probed.configure("app:9001", C, balancing={"drain": [C]})
    assert (probed.picks(2), probed[B]) == ({B: 2}, kept)
    probed.set.discovered({}, 3.0)
    assert list(probed.states()) == ["app:9001", C]


def test_whose_turn_it_is_outlasts_a_patch_that_has_nothing_to_do_with_it() -> None:
    tested = Probed()
    first = tested.set.pick()
    tested.configure(retry={"attempts": 2})
    second = tested.set.pick()
    assert first is not None
    assert second is not None
    assert [first.endpoint.text, second.endpoint.text] == [A, B]


# -- active checks -------------------------------------------------------------------------------------


def test_an_unhealthy_endpoint_is_left_out_until_it_has_risen() -> None:
    tested = Probed(**CHECKED)
    tested.set.checked(tested[A], True, "status 200", 0.0)
    for _ in range(3):
        tested.set.checked(tested[A], False, "connection_refused", 0.0)
    assert tested.picks(20) == {B: 10, C: 10}
    assert tested.states()[A] == "unhealthy"
    tested.set.checked(tested[A], True, "status 200", 1.0)
    assert tested.states()[A] == "unhealthy"
    tested.set.checked(tested[A], True, "status 200", 2.0)
    assert tested.picks(30, now=2.0) == {A: 10, B: 10, C: 10}
    assert tested.told == [(A, "unhealthy", "connection_refused"), (A, "healthy", "status 200")]


def test_without_checks_everybody_is_healthy_again() -> None:
    tested = Probed(**CHECKED)
    stale = tested[A]
    tested.set.checked(stale, False, "status 500", 0.0)
    tested.configure()
    assert tested.states()[A] == "healthy"
    tested.set.checked(stale, False, "status 500", 0.0)  # one that was still under way
    assert tested.states()[A] == "healthy"


def test_nobody_healthy_is_nobody_without_a_panic_threshold() -> None:
    tested = Probed(A, B, **CHECKED, **NO_PANIC)
    for each in tested.set.members:
        tested.set.checked(each, False, "status 503", 0.0)
    assert tested.picks(3) == {None: 3}
    assert tested.set.why_none() == "no healthy endpoint: 2 unhealthy"
    assert tested.set.retry_after(0.0) is None


@pytest.mark.parametrize(
    ("threshold", "unhealthy", "panic"),
    [(50, 1, False), (50, 2, True), (50, 3, True), (0, 3, False), (100, 1, True), (34, 2, True), (33, 2, False)],
)
def test_too_little_health_is_ignored(threshold: int, unhealthy: int, panic: bool) -> None:
    tested = Probed(**CHECKED, balancing={"panic_threshold": threshold})
    for address in (A, B, C)[:unhealthy]:
        tested.set.checked(tested[address], False, "status 503", 0.0)
    assert tested.set.panic is panic
    expected = {A: 10, B: 10, C: 10} if panic else None
    assert expected is None or tested.picks(30) == expected
    if not panic and unhealthy < 3:
        assert set(tested.picks(30)) == set((A, B, C)[unhealthy:])


# -- outlier ejection ----------------------------------------------------------------------------------


def test_an_ejected_endpoint_is_left_out_until_its_time_is_over() -> None:
    tested = Probed(**WATCHED)
    tested.fail(A)
    assert tested.picks(20, now=29.9) == {B: 10, C: 10}
    assert tested.picks(30, now=30.0) == {A: 10, B: 10, C: 10}
    assert tested.told == [(A, "ejected", "consecutive_5xx"), (A, "healthy", "ejection is over")]


def test_all_ejected_says_when_the_first_is_back() -> None:
    tested = Probed(A, B, **WATCHED, **NO_PANIC)
    tested.fail(A, now=0.0)
    tested.fail(B, now=10.0)
    assert tested.picks(1, now=12.0) == {None: 1}
    assert tested.set.why_none() == "no healthy endpoint: 2 ejected"
    assert tested.set.retry_after(12.0) == 18.0
    assert tested.picks(1, now=30.0) == {A: 1}


def test_switched_off_it_lets_everybody_back() -> None:
    tested = Probed(**WATCHED)
    tested.fail(A)
    tested.configure()
    assert tested.set.outlier is None
    assert tested.picks(30) == {A: 10, B: 10, C: 10}
    tested.set.report(A, ErrorType.CONNECTION_REFUSED, None, 0.0)


def test_clear_forgets_everything() -> None:
    tested = Probed(**WATCHED, **CHECKED)
    tested.fail(A)
    tested.set.checked(tested[B], False, "status 500", 0.0)
    tested.set.clear(1.0)
    assert set(tested.states().values()) == {"healthy"}
    assert tested.set.snapshot(1.0)[0]["outlier"]["ejections"] == 0
    assert tested.set.snapshot(1.0)[1]["last_check"] is None


# -- slow start ----------------------------------------------------------------------------------------

SLOW: dict[str, Any] = {"balancing": {"slow_start": {"window": "10s"}}}


def test_a_newcomer_warms_up_and_those_from_the_start_do_not() -> None:
    tested = Probed(A, B, **SLOW)
    assert tested.picks(20) == {A: 10, B: 10}
    tested.configure(A, B, C, now=100.0, **SLOW)
    early = tested.picks(2100, now=100.0)
    assert early == {A: 1000, B: 1000, C: 100}
    assert tested.set.snapshot(105.0)[2]["weight"] == 0.5
    assert tested.picks(2500, now=105.0) == {A: 1000, B: 1000, C: 500}
    assert tested.picks(30, now=110.0) == {A: 10, B: 10, C: 10}


def test_one_that_comes_back_warms_up_too() -> None:
    tested = Probed(A, B, **SLOW, **WATCHED)
    tested.fail(A)
    assert tested.picks(1100, now=30.0) == {A: 100, B: 1000}
    tested = Probed(A, B, **SLOW, **CHECKED)
    for passed in (False, True, True):
        tested.set.checked(tested[A], passed, "", 50.0)
    assert tested.picks(1100, now=50.0) == {A: 100, B: 1000}


def test_when_all_are_warm_the_plain_balancer_is_back() -> None:
    tested = Probed(A, **SLOW)
    tested.configure(A, B, now=0.0, **SLOW)
    assert not isinstance(getattr(tested.set.pick, "__self__"), RoundRobin)  # noqa: B009 - as above
    tested.picks(1, now=10.0)
    assert isinstance(getattr(tested.set.pick, "__self__"), RoundRobin)  # noqa: B009 - as above


# -- anything ------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["fail", "bad check", "good check", "drain", "undrain", "wait"]), st.integers(0, 2)),
        max_size=80,
    ),
    st.sampled_from(["round_robin", "random", "least_request", "maglev"]),
    st.sampled_from([0, 50]),
)
def test_whatever_happens_only_the_available_are_picked(
    story: list[tuple[str, int]], policy: str, threshold: int
) -> None:
    balancing: dict[str, Any] = {"policy": policy, "table_size": 11, "panic_threshold": threshold}
    tested = Probed(**WATCHED, **CHECKED, balancing=balancing)
    now, drained = 0.0, set[str]()
    for what, index in story:
        address = (A, B, C)[index]
        match what:
            case "fail":
                tested.fail(address, now, times=3)
            case "bad check" | "good check":
                tested.set.checked(tested[address], what == "good check", what, now)
            case "drain" | "undrain":
                drained = drained | {address} if what == "drain" else drained - {address}
                balancing["drain"] = sorted(drained)
                tested.configure(now=now, **WATCHED, **CHECKED, balancing=balancing)
            case _:
                now += 17.0
        picked = tested.set.pick((), now, b"key")
        fit = [each for each in tested.set.members if state_of(each) == "healthy"]
        if tested.set.panic:
            assert picked is not None
            assert not picked.draining
        else:
            assert picked in fit if fit else picked is None
