"""Whose status codes a hop uses.

The code depends on the gateway, not on the fault: HAProxy answers a refused connection with 503, nginx with
502. A hop therefore asks its profile, and nothing branches on a profile's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from badgateway_proxy.error_types import ERROR_TABLE, ErrorType

# RFC 9209 leaves the status of these two to whoever sends them; this is what they are when nobody said.
_UNSPECIFIED: Final = {ErrorType.HTTP_REQUEST_ERROR: 400, ErrorType.PROXY_INTERNAL_RESPONSE: 500}


@dataclass(frozen=True)
class Profile:
    """The status for each error type, as one gateway (or the RFC) has it."""

    name: str
    statuses: Mapping[ErrorType, int]

    def status_for(self, error: ErrorType, override: int | None = None) -> int:
        """The status to send for ``error``; ``override`` is what was found to fit (408, 413, 431, …)."""
        return self.statuses[error] if override is None else override


def _rfc9209() -> Profile:
    statuses = {error: info.status or _UNSPECIFIED[error] for error, info in ERROR_TABLE.items()}
    return Profile("rfc9209", MappingProxyType(statuses))


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({"rfc9209": _rfc9209()})
"""Every profile by its name, as configuration's ``profile`` has it."""
