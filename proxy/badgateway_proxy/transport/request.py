"""A request's head, and what of it does not depend on the exchange: the same for all that begin with these bytes."""

import re
from collections.abc import Set
from typing import TYPE_CHECKING

from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage

from badgateway_proxy.transport import headers
from badgateway_proxy.transport.client_faults import check_framing, check_host, origin_form, unspeakable
from badgateway_proxy.transport.max_forwards import forwards_left
from badgateway_proxy.transport.sessions import session_of

if TYPE_CHECKING:
    from badgateway_proxy.cache.asked import Asked

_ID = re.compile(rb"[!-~]{1,128}")


class Request:
    """What a client asks for.

    Args:
        message: its head, as parsed.
    """

    __slots__ = (
        "admissible", "asked", "fields", "forwarded", "forwards_left", "http_1_0", "id", "keep_alive", "message",
        "method",
        "raw_headers", "session", "target", "upgrade",
    )  # fmt: skip

    def __init__(self, message: RawRequestMessage) -> None:
        self.message = message
        self.method = message.method
        self.raw_headers = message.raw_headers
        #: The request target; in origin form once the request is `admissible`.
        self.target = message.path
        #: The fields that say what to do with the request, by their names in lower case.
        self.fields = headers.telling_fields(message.raw_headers)
        self.http_1_0 = message.version == HttpVersion10
        # After an upgrade that came to nothing, aiohttp's parser would read no further request.
        self.keep_alive = not (message.should_close or message.upgrade)
        #: The protocols that it asks to switch to.
        self.upgrade: bytes | None = None
        #: The X-Request-ID that it came with, if it is one.
        self.id = self._given_id() if self.fields else None
        #: How many hops it may still go; None for any number.
        self.forwards_left = forwards_left(message.method, self.fields) if self.fields else None
        #: The session that it names, if any.
        self.session = session_of(self.fields) if self.fields else None
        #: Whether `admit` let it pass.
        self.admissible = False
        #: For whom its head was written, and what stands before and behind the X-Request-ID in it.
        self.forwarded: tuple[bytes, bytes, bytes] | None = None
        #: What it means to a cache, once one has looked.
        self.asked: Asked | None = None

    def _given_id(self) -> str | None:
        given = self.fields.get(b"x-request-id")
        return given[0].decode() if given and _ID.fullmatch(given[0]) else None

    def admit(self, *, max_header: int, max_headers: int) -> None:
        """Look whether it is a request that a gateway may forward, and in which form.

        Args:
            max_header: the cap that the parser held each header to, in bytes.
            max_headers: the cap on all names and values together, in bytes.

        Raises:
            HopError: status 400, 431, 501 or 505 (see `client_faults`).
        """
        message = self.message
        version = message.version
        if version not in (HttpVersion11, HttpVersion10):
            raise unspeakable(f"{version.major}.{version.minor}")
        check_framing(message, max_header=max_header, max_headers=max_headers)
        check_host(message)
        if not self.target.startswith("/") or self.method == "CONNECT":
            self.target = origin_form(message)
        if message.upgrade and version == HttpVersion11:  # RFC 9110 section 7.8: ignored in HTTP/1.0
            self.upgrade = headers.upgrade_of(message.raw_headers)
        self.admissible = True

    def head(
        self,
        client: bytes,
        via: bytes,
        next_hop: str,
        *,
        scheme: bytes = b"http",
        chunked: bool,
        length: int | None,
        cdn_loop: bytes | None = None,
        replaced: Set[bytes] = headers.NO_NAMES,
    ) -> headers.Around:
        """Its head as it goes on to an endpoint: what stands before and behind the value of X-Request-ID.

        Args:
            client: the client's IP address.
            via: this hop's Via member.
            next_hop: the endpoint's address.
            scheme: what clients speak to this hop: `http` or `https`.
            chunked: the body follows as chunked.
            length: the body's length in bytes where the client sent it chunked and it is known by now.
            cdn_loop: this hop's CDN-Loop member, if it has one.
            replaced: fields that do not go on, by their names in lower case; always the same for the same request.
        """
        known = self.forwarded
        if known is not None and known[0] == client:
            return known[1:]
        absolute = self.target is not self.message.path
        dropped = headers.named_by_connection(self.fields.get(b"connection", ()))
        around = headers.request_head(
            self.method,
            self.target,
            self.raw_headers,
            also_dropped=dropped | replaced if replaced else dropped,
            via=via,
            client=client,
            next_hop=next_hop,
            scheme=scheme,
            host=self.message.url.raw_authority if absolute else None,
            chunked=chunked,
            add_length=length,
            upgrade=self.upgrade,
            cdn_loop=cdn_loop,
            max_forwards=self.forwards_left - 1 if self.forwards_left else None,
        )
        if not (chunked or self.http_1_0 or length is not None):  # which would be of this exchange or this endpoint
            self.forwarded = client, *around
        return around
