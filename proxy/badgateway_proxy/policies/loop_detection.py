"""Whether a request has been at this hop before: its name stands in Via or CDN-Loop already. Pure.

A loop that nobody notices ends only where something else does: a timeout, a full table, a header grown too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from badgateway_proxy.configuration.loops import LoopSettings
from badgateway_proxy.errors import ErrorType, HopError, Phase


class LoopDetection:
    """Looks for one hop.

    Args:
        settings: what it looks at.
        name: what the hop calls itself in Via.
    """

    __slots__ = ("_name", "_status", "_via", "cdn_id")

    def __init__(self, settings: LoopSettings, name: str) -> None:
        self._name = name
        self._via = name.encode() if settings.via else None
        #: What it adds to CDN-Loop; None for nothing.
        self.cdn_id = settings.cdn_id.encode() if settings.cdn_id is not None else None
        self._status = settings.status if settings.status != 502 else None  # which is the profile's to say

    def check(self, fields: Mapping[bytes, Sequence[bytes]]) -> None:
        """Let a request pass that has not been here.

        Args:
            fields: the values of its fields, by their names in lower case.

        Raises:
            HopError: proxy_loop_detected.
        """
        found = self.found(fields)
        if found is not None:
            raise HopError(ErrorType.PROXY_LOOP_DETECTED, found, phase=Phase.ADMISSION, status=self._status)

    def found(self, fields: Mapping[bytes, Sequence[bytes]]) -> str | None:
        """Where this hop stands already, in words; None if nowhere. ``fields``: as for ``check``."""
        if self.cdn_id is not None and self.cdn_id.lower() in _cdn_ids(fields.get(b"cdn-loop", ())):
            return f"CDN-Loop already names {self.cdn_id.decode()}: this request has been here before"
        if self._via is not None and self._via in _received_by(fields.get(b"via", ())):
            return f"Via already names {self._name}: this request has been here before"
        return None


def _received_by(via: Sequence[bytes]) -> Iterator[bytes]:
    """The names in Via: in each member the word behind the protocol (RFC 9110 section 7.6.3)."""
    for line in via:
        for member in line.split(b","):
            words = member.split()
            if len(words) >= 2:
                yield words[1]


def _cdn_ids(values: Sequence[bytes]) -> Iterator[bytes]:
    """The identifiers in CDN-Loop, in lower case, without their parameters (RFC 8586 section 2)."""
    for line in values:
        for member in line.split(b","):
            yield member.partition(b";")[0].strip().lower()
