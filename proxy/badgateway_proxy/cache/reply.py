"""What a hop with a cache writes to its client: besides what it relays, what it has in store."""

from __future__ import annotations

from badgateway_proxy.cache.answering import Answer, answer_from
from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.cache.body import Reader
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.reply import Reply, framed


class CachingReply(Reply):
    """The way back to the client."""

    __slots__ = ()

    def from_store(
        self, stored: Stored, asked: Asked, now: float, member: bytes, proxy_status: bytes, *, keep_alive: bool
    ) -> Reader | None:
        """Write a response made of ``stored``: head and body at once where the body is small and complete.

        Args:
            stored: what there is.
            asked: the request.
            now: by the policies' clock.
            member: this cache's in Cache-Status.
            proxy_status: the members of Proxy-Status, where somebody was asked; else empty.
            keep_alive: whether the client's connection may carry another request.

        Returns:
            Where the rest of the body is to be read from; to be closed. None: that was all.

        Raises:
            ConnectionError: the client left.
        """
        answer = answer_from(stored, asked)
        record = self._record
        record.status = answer.status
        body = b""
        reader = None
        if answer.start is not None:
            whole = stored.body.whole()
            if whole is None:
                reader = stored.body.reader(answer.start, answer.stop)
            else:
                body = whole if answer.stop is None else whole[answer.start : answer.stop]
        head = self._head(answer, b"\r\nAge: %d" % stored.fresh.age(now), member, proxy_status, keep_alive=keep_alive)
        record.response_bytes = len(body)
        self.head_sent = True
        try:
            self._client.write(head + body)
        except ConnectionError:
            if reader is not None:
                reader.close()
            raise
        return reader

    def _head(self, answer: Answer, age: bytes, member: bytes, proxy_status: bytes, *, keep_alive: bool) -> bytes:
        http_1_0 = self._request.http_1_0
        self._chunked = answer.chunked and not http_1_0
        self._ends_with_connection = answer.chunked and http_1_0
        end = b"\r\nX-Request-ID: " + self.request_id + self.added
        if answer.length is not None:
            end += b"\r\nContent-Length: %d" % answer.length
        elif self._chunked:
            end += b"\r\nTransfer-Encoding: chunked"
        option = self._option(keep_alive and not self._ends_with_connection)
        if option is not None:
            end += b"\r\nConnection: " + option
        if proxy_status:
            end += b"\r\nProxy-Status: " + proxy_status
        return b"%b%b\r\nCache-Status: %b%b\r\n\r\n" % (answer.head, age, member, end)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body's end is the connection's."""
        return self._ends_with_connection

    async def relay_from(self, reader: Reader) -> None:
        """Relay the rest of a body, at the pace at which the client takes it.

        Raises:
            HopError: the body ended early; what had come of it was sent.
            ConnectionError: the client left.
        """
        client = self._client
        try:
            while not reader.ended:
                if client.writing_paused:
                    await client.drain(self._hop.timeouts.send)
                data = await reader.next()
                self._record.response_bytes += len(data)
                out = framed(data, last=False) if self._chunked else data
                if out:
                    client.write(out)
            if self._chunked:
                client.write(framed(b"", last=True))
        finally:
            reader.close()
