from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.health_settings import HealthSettings
from badgateway_proxy.policies.health_checks import CheckedHealth


def after(checks: str, **settings: int) -> str:
    """The health behind each check: `+` passed or healthy, `-` failed or not."""
    health, by = CheckedHealth(), HealthSettings.model_validate(settings)
    seen = ""
    for check in checks:
        before = health.healthy
        assert health.observe(by, check == "+", check) is (health.healthy is not before)
        assert health.last == check
        seen += "+" if health.healthy else "-"
    return seen


def test_is_healthy_before_the_first_check() -> None:
    assert CheckedHealth().healthy
    assert CheckedHealth().last is None


@pytest.mark.parametrize(
    ("checks", "health"),
    [
        ("+++", "+++"),
        ("+--+--", "++++++"),
        ("+---", "+++-"),
        ("+---+-++", "+++----+"),
        ("-++", "-++"),
        ("--+-+---", "--+++++-"),
        ("-+---+++", "-+++--++"),
    ],
)
def test_rise_and_fall_count_in_a_row_and_the_first_check_decides_alone(checks: str, health: str) -> None:
    assert after(checks, rise=2, fall=3) == health


@pytest.mark.parametrize(("rise", "fall"), [(1, 1), (1, 2), (3, 1)])
def test_needs_exactly_rise_and_fall(rise: int, fall: int) -> None:
    assert after("+" + "-" * fall + "+" * rise, rise=rise, fall=fall) == "+" * fall + "-" * rise + "+"


@given(st.text("+-", max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_changes_only_after_enough_in_a_row(checks: str, rise: int, fall: int) -> None:
    seen = "+" + after(checks, rise=rise, fall=fall)
    for number in range(1, len(checks)):
        if seen[number + 1] != seen[number] and "+" in checks[:number]:
            needed = rise if seen[number + 1] == "+" else fall
            assert set(checks[number + 1 - needed : number + 1]) == {seen[number + 1]}
