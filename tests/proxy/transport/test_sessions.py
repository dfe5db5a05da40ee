"""Which session a request names: a table."""

import pytest

from badgateway_proxy.transport.sessions import session_of


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ({}, None),
        ({b"via": [b"1.1 x"]}, None),
        ({b"x-badgateway-session": [b"alice"]}, "alice"),
        ({b"x-badgateway-session": [b""]}, None),
        ({b"x-badgateway-session": [b"two words"]}, None),
        ({b"x-badgateway-session": [b"x" * 65]}, None),
        ({b"baggage": [b"badgateway-session=alice"]}, "alice"),
        ({b"baggage": [b"user=1 ,\tbadgateway-session = alice;ttl=30, x=y"]}, "alice"),
        ({b"baggage": [b"user=1", b"badgateway-session=alice"]}, "alice"),
        ({b"baggage": [b"not-badgateway-session=alice"]}, None),
        ({b"baggage": [b"user=badgateway-session=alice"]}, None),
        ({b"baggage": [b"badgateway-session=%C3%A4"]}, None),
        ({b"baggage": [b"badgateway-session=bob"], b"x-badgateway-session": [b"alice"]}, "alice"),
        ({b"baggage": [b"badgateway-session=bob"], b"x-badgateway-session": [b"\xff"]}, "bob"),
    ],
)
def test_the_session_is_found(fields: dict[bytes, list[bytes]], session: str | None) -> None:
    assert session_of(fields) == session
