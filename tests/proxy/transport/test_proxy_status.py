import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.transport.proxy_status import (
    ProxyStatusMember,
    Value,
    decided_by,
    member,
    parse_proxy_status,
    quoted,
)


def test_relaying_says_where_from_and_what() -> None:
    text = member("lb", next_hop="127.0.0.1:9001", received_status=200)
    assert text == 'lb; next-hop="127.0.0.1:9001"; received-status=200'


def test_generating_says_why() -> None:
    text = member("lb", error="connection_refused", next_hop="127.0.0.1:9001", details="nobody listens")
    assert text == 'lb; error=connection_refused; next-hop="127.0.0.1:9001"; details="nobody listens"'


def test_an_error_types_own_parameters() -> None:
    text = member("lb", error="http_response_header_size", extra={"header-name": "set-cookie", "header-size": 70000})
    assert text == 'lb; error=http_response_header_size; header-name="set-cookie"; header-size=70000'


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", '"plain"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("é☃", r'"\\xe9\\u2603"'),
        ("a\r\nX-Evil: 1", r'"a\\r\\nX-Evil: 1"'),
        ("", '""'),
    ],
)
def test_text_is_sent_as_a_string_that_no_header_breaks_on(text: str, sent: str) -> None:
    assert quoted(text) == sent


def test_details_are_cut() -> None:
    assert len(member("lb", details="x" * 10_000)) < 300


@given(st.text(max_size=256), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=256))
def test_what_is_written_reads_back(anything: str, printable: str) -> None:
    text = member("lb", error="dns_error", next_hop=printable, received_status=502, details=anything)
    assert text.isascii()
    assert text.isprintable()
    (read,) = parse_proxy_status(text)
    assert (read.name, read.error, read.next_hop, read.received_status) == ("lb", "dns_error", printable, 502)
    assert read.details is not None


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", []),
        ("FooProxy, ExampleCDN", [("FooProxy", {}), ("ExampleCDN", {})]),
        ('"Example CDN";error="dns_error"', [("Example CDN", {"error": "dns_error"})]),
        (
            "cdn.example.org; next-hop=backend.example.org:8001",
            [("cdn.example.org", {"next-hop": "backend.example.org:8001"})],
        ),
        ("a;x=1;y=-1.5;z;t=?0;b=:aGk=:", [("a", {"x": 1, "y": -1.5, "z": True, "t": False, "b": b"hi"})]),
        ("a;Error=x", [("a", {"error": "x"})]),
        ("a ; error = x", [("a", {"error": True})]),
        (" ,, a,\t,b ,", [("a", {}), ("b", {})]),
        ('a;error="unterminated, b', [("a", {}), ("b", {})]),
        ("12, (x y), é, lb;error=dns_timeout", [("lb", {"error": "dns_timeout"})]),
        ("a;b=:!:, c", [("a", {}), ("c", {})]),
        ('a;details="x, y";error=e, b', [("a", {"details": "x, y", "error": "e"}), ("b", {})]),
    ],
)
def test_reads_what_others_send(text: str, members: list[tuple[str, dict[str, Value]]]) -> None:
    assert [(each.name, dict(each.params)) for each in parse_proxy_status(text)] == members


@given(st.text())
def test_never_raises(text: str) -> None:
    parse_proxy_status(text)


@given(st.text(alphabet='a1-.;=,:?"\\ *\t', max_size=60))
def test_never_raises_on_what_looks_like_it(text: str) -> None:
    for each in parse_proxy_status(text):
        assert each.name
        _ = each.error, each.details, each.next_hop, each.received_status


def test_the_hop_nearest_the_origin_that_failed_decided() -> None:
    members = parse_proxy_status("a; received-status=200, b; error=dns_error, c; error=connection_timeout")
    found = decided_by(members)
    assert found is not None
    assert found.name == "b"
    assert decided_by([]) is None
    assert decided_by([ProxyStatusMember("a")]) is None
    assert decided_by([ProxyStatusMember("a", {"error": True})]) is None
