from __future__ import annotations

from badgateway_proxy.policies.caching.fields import first_of, members_of, values_of

FIELDS = [(b"Vary", b"A, b ,"), (b"vary", b""), (b"VARY", b" C ")]


def test_looking_up() -> None:
    assert values_of(FIELDS, b"vary") == (b"A, b ,", b"", b" C ")
    assert first_of(FIELDS, b"vary") == b"A, b ,"
    assert first_of(FIELDS, b"age") is None
    assert members_of(values_of(FIELDS, b"vary")) == [b"a", b"b", b"c"]
