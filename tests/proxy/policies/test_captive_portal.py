from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.admission import CaptivePortalSettings
from badgateway_proxy.policies.captive_portal import Sessions, login_link, wanted_target


def sessions(clients: int = 100) -> Sessions:
    return Sessions(CaptivePortalSettings.model_validate({"session": "10m", "clients": clients}))


def test_a_login_lasts_so_long_and_for_that_client() -> None:
    tried = sessions()
    assert not tried.is_logged_in(b"a", 0.0)
    tried.log_in(b"a", 0.0)
    assert tried.is_logged_in(b"a", 599.0)
    assert not tried.is_logged_in(b"b", 599.0)
    assert not tried.is_logged_in(b"a", 600.0)


def test_logging_in_again_begins_anew() -> None:
    tried = sessions()
    tried.log_in(b"a", 0.0)
    tried.log_in(b"a", 500.0)
    assert tried.is_logged_in(b"a", 1000.0)
    assert len(tried) == 1


def test_the_oldest_login_makes_room() -> None:
    tried = sessions(clients=2)
    for number, client in enumerate((b"a", b"b", b"c")):
        tried.log_in(client, float(number))
    assert [tried.is_logged_in(client, 3.0) for client in (b"a", b"b", b"c")] == [False, True, True]


@given(st.lists(st.tuples(st.floats(0, 700), st.integers(0, 20)), max_size=100))
def test_memory_is_bounded_and_what_is_over_is_forgotten(logins: list[tuple[float, int]]) -> None:
    tried, now, ends = sessions(clients=5), 0.0, dict[int, float]()
    for step, client in logins:
        now += step
        tried.log_in(b"%d" % client, now)
        ends[client] = now + 600
        assert tried.is_logged_in(b"%d" % client, now)
        assert len(tried) <= min(5, sum(end > now for end in ends.values()))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=50))
def test_the_link_leads_back_to_what_was_wanted(rest: str) -> None:
    wanted = "/" + rest
    path, _, query = login_link("/login", wanted).partition("?")
    assert path == "/login"
    assert wanted_target(query) == (wanted if not rest.startswith(("/", "\\")) else "/")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "next=",
        "next=https://evil.example/",
        "next=//evil.example/",
        "next=/%5Cevil.example/",
        "next=/a%0D%0ASet-Cookie:%20x=y",
        "next=/a%20b",
        "next=/%C3%A9",
        "other=/a",
        "next=/" + "a" * 9000,
        "&".join(["a=b"] * 20 + ["next=/a"]),
    ],
)
def test_it_leads_nowhere_else(query: str) -> None:
    assert wanted_target(query) == "/"
