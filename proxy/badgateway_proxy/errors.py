"""The one exception class of a hop, and the phase in which things go wrong.

What can go wrong is an `ErrorType`; what is known about each is in `ERROR_TABLE` (see `error_types`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from badgateway_proxy.error_types import ERROR_TABLE, Blame, ErrorInfo, ErrorType, RetryCondition

__all__ = ["ERROR_TABLE", "Blame", "ErrorInfo", "ErrorType", "HopError", "Page", "Phase", "RetryCondition"]


class Phase(StrEnum):
    """Where in an exchange something happened: ``client`` in what the client sent, ``admission`` before the first
    attempt of a request that is good in itself, else in an attempt."""

    CLIENT = "client"
    ADMISSION = "admission"
    CONNECT = "connect"
    SEND = "send"
    WAIT = "wait"
    RECEIVE = "receive"


class Page(Protocol):
    """A body to answer with where the usual page about an error would mislead."""

    def __call__(self, status: int, *, hop: str, request_id: str, accept: str | None) -> tuple[bytes, bytes]:
        """Content type and content. ``accept``: the request's Accept field, None if absent."""


_NO_PARAMETERS: Mapping[str, str | int] = MappingProxyType({})


class HopError(Exception):
    """Something went wrong in one exchange, already classified where it happened.

    ``details`` is for people and appears in Proxy-Status, records and error pages: the hop's own words, never
    bytes of the peer's. ``status`` overrides the profile's status (for ``http_request_error``: 400, 408, …).
    ``first_bytes`` is what the peer sent first, kept to be shown. ``retry_after`` is in seconds.
    ``bytes_sent``: whether any byte of the request was sent, so that the peer may have acted on it.
    ``fields``: further fields of the response. ``page``: its body, if not the usual one.
    ``dated``: Retry-After is written as a date.
    ``parameters``: the error type's own ones, for Proxy-Status (RFC 9209 section 2.3).
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
        fields: Sequence[tuple[bytes, bytes]] = (),
        page: Page | None = None,
        dated: bool = False,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
    ) -> None:
        super().__init__(error, details)
        self.error = error
        self.details = details
        self.phase = phase
        self.status = status
        self.first_bytes = first_bytes
        self.retry_after = retry_after
        self.bytes_sent = bytes_sent
        self.fields = fields
        self.page = page
        self.dated = dated
        self.parameters = parameters

    def again(self) -> HopError:
        """The same for another exchange: an exception that is raised collects what it passed through."""
        return HopError(
            self.error,
            self.details,
            phase=self.phase,
            status=self.status,
            first_bytes=self.first_bytes,
            retry_after=self.retry_after,
            bytes_sent=self.bytes_sent,
        )

    def __str__(self) -> str:
        return f"{self.error} in phase {self.phase}: {self.details}"
