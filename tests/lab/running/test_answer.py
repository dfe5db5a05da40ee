from __future__ import annotations

import pytest

from badgateway.running.answer import Answer, members_of


def answer(*headers: tuple[str, str], status: int | None = 502) -> Answer:
    return Answer(status=status, headers=headers, proxy_status=members_of(headers))


def test_the_first_member_with_an_error_decided() -> None:
    told = answer(
        ("Proxy-Status", 'waf; next-hop="x", lb; error=connection_refused; details="a, b"'),
        ("proxy-status", "cdn; received-status=502"),
    )
    assert (told.decided_by, told.error) == ("lb", "connection_refused")
    assert [m.name for m in told.proxy_status] == ["waf", "lb", "cdn"]


def test_without_an_error_the_app_decided() -> None:
    assert answer(("Proxy-Status", "lb; received-status=500, cdn; received-status=500")).decided_by == "app"
    assert answer().decided_by == "app"
    assert answer().error is None
    assert answer(status=None).decided_by is None


@pytest.mark.parametrize(
    ("cache_status", "decided_by"),
    [
        ("cdn; hit; ttl=5", "cdn"),
        ("lb; hit, cdn; fwd=uri-miss; stored", "lb"),
        ("lb; hit, cdn; hit", "cdn"),
        ("cdn; fwd=stale; fwd-status=502; detail=stale-if-error", "cdn"),
        ("cdn; fwd=stale; fwd-status=304", "app"),
        ("cdn; fwd=uri-miss; collapsed", "app"),
        ("cdn; hit=?0", "app"),
    ],
)
def test_what_comes_from_a_cache_was_decided_by_it(cache_status: str, decided_by: str) -> None:
    assert answer(("Cache-Status", cache_status), status=200).decided_by == decided_by


def test_a_cache_may_cover_an_error_up() -> None:
    told = answer(
        ("Proxy-Status", "lb; error=connection_refused, cdn; received-status=502"),
        ("Cache-Status", "cdn; fwd=stale; detail=stale-if-error"),
        status=200,
    )
    assert (told.decided_by, told.error) == ("cdn", "connection_refused")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "12")], 12.0),
        ([("Retry-After", " 0 ")], 0.0),
        (
            [("Retry-After", "Mon, 24 Nov 2025 10:00:30 GMT"), ("Date", "Mon, 24 Nov 2025 10:00:00 GMT")],
            30.0,
        ),
        ([("Retry-After", "Mon, 24 Nov 2025 09:00:00 GMT"), ("Date", "Mon, 24 Nov 2025 10:00:00 GMT")], 0.0),
        ([("Retry-After", "soon")], None),
        ([("Retry-After", "-1")], None),
        ([], None),
    ],
)
def test_retry_after_in_both_its_forms(headers: list[tuple[str, str]], seconds: float | None) -> None:
    assert answer(*headers).retry_after() == seconds
