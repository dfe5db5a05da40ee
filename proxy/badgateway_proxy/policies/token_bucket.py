"""How many requests may come: token buckets, one for a server or one for each client. Pure: time is a parameter.

The words are those of Envoy's local rate limit (token_bucket), but that tokens come back at an even pace, not all at
once at the end of each interval.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from badgateway_proxy.configuration.admission import ClientRateLimitSettings, TokenBucketSettings

_ENOUGH: Final = 1 - 1e-9
"""A token, but for what is lost in adding fractions."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request that asked for a token.

    ``allowed``: there was one. ``remaining``: whole tokens that are left. ``wait``: seconds until there is one more
    than now.
    """

    allowed: bool
    remaining: int
    wait: float


class TokenBucket:
    """A bucket that is full at first. ``now`` is in seconds of any clock that does not go back."""

    __slots__ = ("_at", "_per_second", "_size", "_tokens")

    def __init__(self, settings: TokenBucketSettings, now: float) -> None:
        self._size = settings.max_tokens
        self._per_second = settings.tokens_per_fill / settings.fill_interval
        self._tokens = float(settings.max_tokens)
        self._at = now

    def take(self, now: float) -> Taken:
        """Take a token, if there is a whole one."""
        if now > self._at:
            self._tokens = min(float(self._size), self._tokens + (now - self._at) * self._per_second)
            self._at = now
        allowed = self._tokens >= _ENOUGH
        if allowed:
            self._tokens = max(0.0, self._tokens - 1)
        remaining = math.floor(self._tokens + (1 - _ENOUGH))
        return Taken(allowed, remaining, max(0.0, remaining + 1 - self._tokens) / self._per_second)


class ClientBuckets:
    """A bucket for each client, for as many clients as the settings allow.

    A client that is forgotten starts again with a full bucket: memory is bounded at that price.
    """

    def __init__(self, settings: ClientRateLimitSettings) -> None:
        self._settings = settings
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: bytes, now: float) -> Taken:
        """Take a token out of a client's bucket."""
        buckets = self._buckets
        bucket = buckets.get(client)
        if bucket is None:
            if len(buckets) >= self._settings.clients:
                buckets.popitem(last=False)
            bucket = buckets[client] = TokenBucket(self._settings, now)
        else:
            buckets.move_to_end(client)
        return bucket.take(now)


def rate_limit_fields(name: str, settings: TokenBucketSettings, taken: Taken) -> tuple[tuple[bytes, bytes], ...]:
    """The fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10, work in progress).

    ``name``: the policy's; each hop on the way has one of its own, as a client reads all of them in one list. ``q``:
    the quota, which is all that a full bucket holds, so that ``r`` is never more. ``w``: the window in which an empty
    one is full again, in seconds, rounded up, as the draft has whole ones only. ``r``: what is left now, ``t``: seconds
    until more is; Retry-After is not earlier.
    """
    quota = settings.max_tokens
    window = math.ceil(quota * settings.fill_interval / settings.tokens_per_fill * _ENOUGH)
    policy = f'"{name}";q={quota};w={window}'
    left = f'"{name}";r={taken.remaining};t={math.ceil(taken.wait)}'
    return (b"RateLimit-Policy", policy.encode()), (b"RateLimit", left.encode())
