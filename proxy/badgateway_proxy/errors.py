"""The one exception class of a hop, and the phase in which things go wrong.

What can go wrong is an `ErrorType`; what is known about each is in `ERROR_TABLE` (see `error_types`).
"""

from __future__ import annotations

from enum import StrEnum

from badgateway_proxy.error_types import ERROR_TABLE, Blame, ErrorInfo, ErrorType, RetryCondition

__all__ = ["ERROR_TABLE", "Blame", "ErrorInfo", "ErrorType", "HopError", "Phase", "RetryCondition"]


class Phase(StrEnum):
    """Where in an exchange something happened: ``client`` before and beside the attempts, else in one."""

    CLIENT = "client"
    CONNECT = "connect"
    SEND = "send"
    WAIT = "wait"
    RECEIVE = "receive"


class HopError(Exception):
    """Something went wrong in one exchange, already classified where it happened.

    ``details`` is for people and appears in Proxy-Status, records and error pages: the hop's own words, never
    bytes of the peer's. ``status`` overrides the profile's status (for ``http_request_error``: 400, 408, …).
    ``first_bytes`` is what the peer sent first, kept to be shown. ``retry_after`` is in seconds.
    ``bytes_sent``: whether any byte of the request was sent, so that the peer may have acted on it.
    """

    def __init__(
        self,
        error: ErrorType,
        details: str,
        *,
        phase: Phase,
        status: int | None = None,
        first_bytes: bytes = b"",
        retry_after: float | None = None,
        bytes_sent: bool = False,
    ) -> None:
        super().__init__(error, details)
        self.error = error
        self.details = details
        self.phase = phase
        self.status = status
        self.first_bytes = first_bytes
        self.retry_after = retry_after
        self.bytes_sent = bytes_sent

    def __str__(self) -> str:
        return f"{self.error} in phase {self.phase}: {self.details}"
