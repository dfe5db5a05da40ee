"""What a hop writes to its client in one exchange: a relayed response, or one of its own; never both.

A relayed response goes out as it came in and ends where it ended: cut short, the client sees that it is.
"""

import math
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from badgateway_proxy.errors import HopError, Phase
from badgateway_proxy.pages import error_pages
from badgateway_proxy.records import ExchangeRecord
from badgateway_proxy.transport import headers
from badgateway_proxy.transport.attempt import Attempt
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.response_reader import ResponseHead
from badgateway_proxy.transport.tunnel import Tunnel
from badgateway_proxy.transport.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from badgateway_proxy.hop import Hop

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Reply:
    """The way back to the client.

    Args:
        hop: whose words and deadlines to use.
        client: where to write.
        request: which is answered.
        record: filled in with what the client gets.
    """

    __slots__ = (
        "_chunked", "_client", "_ends_with_connection", "_hop", "_record", "_request", "added", "head_sent",
        "request_id",
    )  # fmt: skip

    def __init__(self, hop: "Hop", client: ClientConnection, request: Request, record: ExchangeRecord) -> None:
        self._hop = hop
        self._client = client
        self._request = request
        self._record = record
        self._chunked = self._ends_with_connection = False
        self.head_sent = False
        #: Header lines that every final response gets, each with CRLF before it.
        self.added = b""
        #: The exchange's id, as bytes.
        self.request_id = record.request_id.encode()

    def ask_for_body(self) -> None:
        """Write `100 Continue` to a client that waits for it before it sends its body (RFC 9110 section 10.1.1)."""
        if not self.head_sent:
            self._client.write(_CONTINUE)

    def interim(self, head: ResponseHead) -> None:
        """Relay a 1xx; but 100 is between neighbours, and HTTP/1.0 clients know none (RFC 9110 section 15.2)."""
        if head.status != 100 and not self._request.http_1_0:
            dropped = headers.named_by_connection(head.connection)
            self._client.write(headers.interim_head(head.status, head.reason, head.headers, also_dropped=dropped))

    # -- what an endpoint answered ---------------------------------------------------------------------

    def relay(self, attempt: Attempt, head: ResponseHead, data: bytes, *, keep_alive: bool) -> bool:
        """Relay a response's head, and what has come of its body; `relay_rest` is for what has not.

        Args:
            attempt: which got the response.
            head: its final head.
            data: what has come of its body.
            keep_alive: whether the client's connection may carry another request after this one.

        Returns:
            Whether it still may.

        Raises:
            ConnectionError: the client left.
        """
        client, connection = self._client, attempt.connection
        unknown_length = head.length is None and self._has_body(head)
        self._chunked = unknown_length and not self._request.http_1_0
        self._ends_with_connection = unknown_length and self._request.http_1_0
        keep_alive = keep_alive and not self._ends_with_connection
        out = self._relayed_head(attempt, head, chunked=self._chunked, connection=self._option(keep_alive))
        self._record.response_bytes = len(data)
        self.head_sent = True
        client.write(out + (framed(data, last=connection.complete) if self._chunked else data))
        return keep_alive

    async def relay_rest(self, attempt: Attempt) -> None:
        """Relay the rest of a body as it comes, at the pace at which the client takes it.

        Raises:
            HopError: the body ended early; what had come of it was sent.
            ConnectionError: the client left.
        """
        client, connection, complete = self._client, attempt.connection, False
        while not complete:
            if client.writing_paused:
                await client.drain(self._hop.timeouts.send)
            data = await attempt.next_bytes()
            complete = connection.complete
            self._record.response_bytes += len(data)
            out = framed(data, last=complete) if self._chunked else data
            if out:
                client.write(out)

    def _has_body(self, head: ResponseHead) -> bool:
        return self._request.method != "HEAD" and head.status not in (204, 304)

    def _relayed_head(
        self,
        attempt: Attempt,
        head: ResponseHead,
        *,
        chunked: bool = False,
        connection: bytes | None = None,
        upgrade: bytes | None = None,
    ) -> bytes:
        hop, record, endpoint = self._hop, self._record, attempt.endpoint.text
        record.status = head.status
        usual = not chunked and connection is None
        if usual and head.relayed is not None and head.relayed[0] == endpoint:
            _, record.proxy_status, before, behind = head.relayed
            return before + self.request_id + self.added + behind
        record.proxy_status, proxy_status = hop.relay_member(endpoint, head.status)
        before, behind = headers.response_head(
            head.status,
            head.reason,
            head.headers,
            via=head.via(hop.token),
            proxy_status=proxy_status,
            also_dropped=headers.named_by_connection(head.connection),
            chunked=chunked,
            connection=connection,
            upgrade=upgrade,
        )
        date = b""
        if head.status >= 200 and not headers.is_dated(head.headers):
            date = b"\r\nDate: " + formatdate(usegmt=True).encode()
        elif usual:
            head.relayed = endpoint, record.proxy_status, before, behind
        return before + self.request_id + date + self.added + behind

    def _option(self, keep_alive: bool) -> bytes | None:
        if not keep_alive:
            return b"close"
        return b"keep-alive" if self._request.http_1_0 else None

    async def switch_protocols(self, attempt: Attempt, head: ResponseHead) -> None:
        """Relay a 101, then bytes both ways until either side ends.

        Raises:
            HopError: the endpoint left at once.
            ConnectionError: the client did.
        """
        connection: UpstreamConnection = attempt.connection
        self._client.write(self._relayed_head(attempt, head, upgrade=headers.upgrade_of(head.headers)))
        self.head_sent = True
        tunnel = Tunnel(self._client, connection, self._hop.timeouts.client_idle)
        try:
            await tunnel.run()
        finally:
            self._record.response_bytes = tunnel.to_client_bytes
            if self._client.meter is not None:
                self._client.meter(tunnel.to_client_bytes)
            self._record.request_bytes = tunnel.to_upstream_bytes

    # -- what the hop itself has to say ----------------------------------------------------------------

    def truncate(self) -> None:
        """End a response whose head is out, so that the client sees that it is not all there."""
        self._record.truncated = True
        if self._ends_with_connection:
            self._client.reset_at_end()

    def generate(self, error: HopError, *, endpoint: str | None, keep_alive: bool) -> None:
        """Answer for the hop itself: status by its profile, problem details or a page by Accept.

        Raises:
            ConnectionError: the client left.
        """
        hop, record = self._hop, self._record
        status = hop.profile.status_for(error.error, error.status)
        record.status, record.generated, record.retry_after = status, True, error.retry_after
        named = None if error.phase is Phase.CLIENT else endpoint
        record.proxy_status = hop.error_member(error, endpoint=named, status=status)
        content_type, content = self._content(error, status)
        now = time.time()
        fields = [
            (b"Content-Type", content_type),
            (b"Content-Length", b"%d" % len(content)),
            (b"Cache-Control", b"no-store"),
            (b"Date", formatdate(now, usegmt=True).encode()),
            *error.fields,
        ]
        if error.retry_after is not None:
            seconds = max(1, math.ceil(error.retry_after))
            when = formatdate(int(now) + seconds, usegmt=True).encode() if error.dated else b"%d" % seconds
            fields.append((b"Retry-After", when))
        before, behind = headers.own_head(
            status,
            fields,
            via=hop.via,
            proxy_status=record.proxy_status.encode(),
            connection=self._option(keep_alive),
        )
        if self._request.method == "HEAD":
            content = b""
        self._client.write(before + self.request_id + self.added + behind + content)
        record.response_bytes = len(content)

    def _content(self, error: HopError, status: int) -> tuple[bytes, bytes]:
        """Content type and content of a response that the hop makes itself."""
        record, request = self._record, self._request
        accept = request.message.headers.get("Accept")
        if error.page is not None:
            return error.page(status, hop=record.hop, request_id=record.request_id, accept=accept)
        return error_pages.render(
            error.error,
            status,
            hop=record.hop,
            tier=record.tier,
            request_id=record.request_id,
            details=error.details,
            accept=accept,
            retry_after=error.retry_after,
            first_bytes=error.first_bytes,
            method=request.method,
            debug=self._hop.config.debug,
        )


def framed(data: bytes, *, last: bool) -> bytes:
    """Body bytes in chunks (RFC 9112 section 7.1). ``last``: no more follow."""
    framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return framed + b"0\r\n\r\n" if last else framed
