"""The Cache-Status field (RFC 9211): this cache's member written, and what it means in one word. Pure."""

from __future__ import annotations

from enum import StrEnum


class CacheResult(StrEnum):
    """How a cache came by its answer. nginx's words ($upstream_cache_status), and ``collapsed``."""

    HIT = "hit"
    """Answered from the store, fresh."""
    STALE = "stale"
    """Answered from the store although no longer fresh: while it is fetched anew, or as the upstream fails."""
    REVALIDATED = "revalidated"
    """The origin said that what is stored still holds."""
    EXPIRED = "expired"
    """What was stored could not be used, or no longer held; the answer is the origin's."""
    MISS = "miss"
    """Nothing was stored that fits."""
    COLLAPSED = "collapsed"
    """Another request was fetching it already, and this one got the same answer."""
    BYPASS = "bypass"
    """A request that the store has no part in: by its method, or as it asks for what is not stored."""


FORWARDED = {
    CacheResult.REVALIDATED: "stale",
    CacheResult.EXPIRED: "stale",
    CacheResult.MISS: "uri-miss",
    CacheResult.COLLAPSED: "uri-miss",
    CacheResult.BYPASS: "bypass",
}
"""Why a request went on, in RFC 9211's words (section 2.2), where nothing more precise is known."""


def hit(name: bytes, ttl: float, detail: str = "") -> bytes:
    """The member for an answer from the store. ``ttl``: seconds that it is still fresh, below 0 where it is stale."""
    return b"%b; hit; ttl=%d%b" % (name, ttl // 1, _detail(detail))


def forwarded(
    name: bytes,
    why: str,
    *,
    status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: float | None = None,
    detail: str = "",
) -> bytes:
    """The member for a request that went on.

    Args:
        name: the cache's, an RFC 8941 token.
        why: as ``fwd`` says it: bypass, method, uri-miss, vary-miss, request, stale.
        status: that the next hop answered with, if it did.
        stored: whether the answer is kept.
        collapsed: whether it went on together with another one.
        ttl: seconds that what was answered is still fresh, where that came from the store after all.
        detail: a token that says more.
    """
    text = name + b"; fwd=" + why.encode()
    if status is not None:
        text += b"; fwd-status=%d" % status
    if ttl is not None:
        text += b"; ttl=%d" % (ttl // 1)
    if stored:
        text += b"; stored"
    if collapsed:
        text += b"; collapsed"
    return text + _detail(detail)


def _detail(detail: str) -> bytes:
    return b"; detail=" + detail.encode() if detail else b""
