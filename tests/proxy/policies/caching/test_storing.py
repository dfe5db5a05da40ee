from __future__ import annotations

import pytest

from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.directives import NONE, Directives, response_directives
from badgateway_proxy.policies.caching.freshness import Moment, freshness_of
from badgateway_proxy.policies.caching.storing import MOST_TAGS, stored_fields, tags_of, why_not_stored


def why(
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    asked: Directives = NONE,
    status: int = 200,
    authorized: bool = False,
    **settings: object,
) -> str | None:
    said = response_directives(fields, (b"cdn-cache-control",))
    fresh = freshness_of(status, fields, said, CacheSettings.model_validate(settings), Moment(0.0, 1.7e9, 1000.0))
    return why_not_stored(method, asked, status, said, fresh, fields, authorized=authorized)


def cc(value: bytes) -> tuple[bytes, bytes]:
    return (b"Cache-Control", value)


FRESH = cc(b"max-age=60")
ETAG = (b"ETag", b'"a"')


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([FRESH], None),
        ([cc(b"max-age=0")], "no freshness, no validator"),
        ([], "no freshness, no validator"),
        ([ETAG], None),  # useful: it can be validated
        ([(b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT")], None),
        ([cc(b"no-cache"), ETAG], None),
        ([cc(b"no-store, max-age=60")], "no-store"),
        ([cc(b"private, max-age=60")], "private"),
        ([cc(b'private="set-cookie", max-age=60')], None),
        ([FRESH, (b"Vary", b"*")], "vary"),
        ([FRESH, (b"Vary", b"Foo"), (b"vary", b"a, *")], "vary"),
        ([FRESH, (b"Vary", b"Foo")], None),
        ([cc(b"no-store"), (b"CDN-Cache-Control", b"max-age=60")], None),
        ([FRESH, (b"CDN-Cache-Control", b"no-store")], "no-store"),
        ([cc(b"max-age=0, stale-if-error=60")], None),
        ([cc(b"max-age=0, must-revalidate, stale-if-error=60")], "no freshness, no validator"),
    ],
)
def test_responses_to_get(fields: list[tuple[bytes, bytes]], reason: str | None) -> None:
    assert why(*fields) == reason


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS"])
def test_only_responses_to_get_are_stored(method: str) -> None:
    assert why(FRESH, method=method) == "method"


def test_a_client_may_ask_for_nothing_to_be_stored() -> None:
    assert why(FRESH, asked=Directives(no_store=True)) == "no-store"


@pytest.mark.parametrize("status", [206, 304])
def test_parts_are_not_stored(status: int) -> None:
    assert why(FRESH, status=status) == "status"


@pytest.mark.parametrize("status", [200, 201, 299, 302, 403, 404, 500, 503, 599])
def test_explicit_freshness_is_enough_for_any_other_status(status: int) -> None:
    assert why(FRESH, status=status) is None


@pytest.mark.parametrize("status", [201, 302, 403, 500, 501, 503, 599])
def test_without_freshness_these_are_not_kept_for_their_validators(status: int) -> None:
    """An error kept only to be validated, or to stand in for an error, would take the place of what is good."""
    assert why(ETAG, status=status) == "status"
    assert why(status=status, stale_if_error="60s", stale_while_revalidate="60s") == "status"


def test_must_understand_lifts_no_store_for_statuses_that_are_understood() -> None:
    said = cc(b"max-age=60, no-store, must-understand")
    assert why(said) is None
    assert why(said, status=599) == "must-understand"


@pytest.mark.parametrize(
    ("directive", "reason"),
    [(b"", "authorization"), (b", public", None), (b", must-revalidate", None), (b", s-maxage=5", None)],
)
def test_answers_to_authorized_requests_are_private_unless_they_say_otherwise(
    directive: bytes, reason: str | None
) -> None:
    assert why(cc(b"max-age=60" + directive), authorized=True) == reason


def test_what_ends_at_this_hop_is_not_stored() -> None:
    received = [
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"5"),
        (b"Age", b"5"),
        (b"X-Request-ID", b"abc"),
        (b"Proxy-Status", b"lb; received-status=200"),
        (b"Set-Cookie", b"a=b"),
        (b"X-Secret", b"1"),
        (b"Content-Type", b"text/plain"),
        (b"Via", b"1.1 lb"),
    ]
    said = Directives(unstored=frozenset((b"x-secret",)))
    assert stored_fields(received, said, [b"close, X-Hop"]) == [
        (b"Set-Cookie", b"a=b"),
        (b"Content-Type", b"text/plain"),
        (b"Via", b"1.1 lb"),
    ]


def test_tags() -> None:
    fields = [(b"Cache-Tag", b"a, b,c"), (b"surrogate-key", b"d e"), (b"X-Tag", b"f")]
    assert tags_of(fields, CacheSettings()) == {b"a", b"b", b"c", b"d", b"e"}
    assert tags_of(fields, CacheSettings.model_validate({"tags": ["X-Tag"]})) == {b"f"}
    many = [(b"Cache-Tag", b",".join(b"%d" % number for number in range(1000)))]
    assert len(tags_of(many, CacheSettings())) == MOST_TAGS
