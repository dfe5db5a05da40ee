"""Max-Forwards (RFC 9110 section 7.6.2): how far TRACE and OPTIONS go, so that one can ask each hop of a chain in turn.

Pure: from a request's fields to the number, and to the answer of the hop at which it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from badgateway_proxy.errors import ErrorType, HopError, Phase

_COUNTED: Final = frozenset(("TRACE", "OPTIONS"))
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"
#: What may be secret, and so does not go back in the answer to TRACE (RFC 9110 section 9.3.8).
_SECRET: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie"))


def forwards_left(method: str, fields: Mapping[bytes, Sequence[bytes]]) -> int | None:
    """How many hops the request may still go; None for any number. ``fields``: values by names in lower case."""
    values = fields.get(b"max-forwards", ())
    if method not in _COUNTED or len(values) != 1 or not values[0].isdigit():
        return None
    return int(values[0][:9])


def last_recipient(method: str, target: str, raw_headers: Sequence[tuple[bytes, bytes]]) -> HopError:
    """The answer of a hop at which Max-Forwards is 0: what came (TRACE), or what it can (OPTIONS)."""
    content = _as_received(target, raw_headers) if method == "TRACE" else b""
    kind = b"message/http" if method == "TRACE" else b"text/plain"

    def page(status: int, *, hop: str, request_id: str, accept: str | None) -> tuple[bytes, bytes]:
        return kind, content

    return HopError(
        ErrorType.PROXY_INTERNAL_RESPONSE,
        "Max-Forwards is 0: this hop is the last to be asked",
        phase=Phase.ADMISSION,
        status=200,
        page=page,
        fields=((b"Allow", _METHODS),) if method == "OPTIONS" else (),
    )


def _as_received(target: str, raw_headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    line = f"TRACE {target} HTTP/1.1".encode("utf-8", "surrogateescape")
    kept = [b": ".join(field) for field in raw_headers if field[0].lower() not in _SECRET]
    return b"\r\n".join([line, *kept, b"", b""])
