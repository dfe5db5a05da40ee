from __future__ import annotations

from badgateway_proxy.policies.caching.cache_status import forwarded, hit


def test_members() -> None:
    assert hit(b"cdn", 29.9) == b"cdn; hit; ttl=29"
    assert hit(b"cdn", -0.1) == b"cdn; hit; ttl=-1"
    assert forwarded(b"cdn", "uri-miss", status=200, stored=True) == b"cdn; fwd=uri-miss; fwd-status=200; stored"
    assert forwarded(b"cdn", "uri-miss", ttl=5.0, collapsed=True) == b"cdn; fwd=uri-miss; ttl=5; collapsed"
    assert (
        forwarded(b"cdn", "stale", status=503, ttl=-20.5, detail="stale-if-error")
        == b"cdn; fwd=stale; fwd-status=503; ttl=-21; detail=stale-if-error"
    )
