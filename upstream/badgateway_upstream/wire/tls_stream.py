"""The server's side of TLS, over `ssl.SSLObject` and its memory buffers.

Not asyncio's own, because the raw socket must stay at hand: asyncio's servers send no alert when a handshake fails
(measured on CPython 3.11), and can neither be told to speak no TLS after all nor half-close.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import Any, Final

_LOG: Final = logging.getLogger("badgateway_upstream.wire.tls_stream")
_PIECE: Final = 64 * 1024


class TlsStream(asyncio.Transport, asyncio.Protocol):
    """The transport of ``protocol``, and itself the protocol of the socket's transport.

    ``protocol.connection_made`` is called when the connection was accepted: it decides, by `speak` or `step_aside`,
    what happens then. Only after the handshake is there anything to read, or a sense in writing.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._raw: asyncio.Transport
        self._established = self._peer_ended = self._ended = False

    # What the protocol decides

    def speak(self, context: ssl.SSLContext) -> None:
        """Speak TLS, as this context says."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def step_aside(self) -> asyncio.Transport:
        """Speak no TLS: the protocol has the raw transport, which is returned, for itself from now on."""
        self._raw.set_protocol(self._protocol)
        return self._raw

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._ended or self._tls is None:
            return
        self._incoming.write(data)
        self._go_on()

    def _go_on(self) -> None:
        assert self._tls is not None
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
            while not (self._ended or self._peer_ended):
                data = self._tls.read(_PIECE)
                if data:
                    self._protocol.data_received(data)
                else:
                    self._hear_the_end()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:  # a FIN without close_notify, which is no business of an app's
            self._hear_the_end()
        except ssl.SSLError as error:
            what = "broke" if self._established else "handshake failed"
            _LOG.info("%s: TLS %s: %s", self.get_extra_info("peername"), what, error)
            self._ended = True
            self._flush()  # the alert that says why
            self._raw.close()
            return
        self._flush()

    def _hear_the_end(self) -> None:
        self._peer_ended = True
        if not self._protocol.eof_received():
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def eof_received(self) -> bool:
        """A FIN; without TLS's own end before it, in a handshake too, it is one all the same."""
        if not (self._peer_ended or self._ended):
            self._incoming.write_eof()
            if self._tls is not None and self._established:
                self._go_on()
            else:
                self._raw.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended = True
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The kernel takes bytes again."""
        self._protocol.resume_writing()

    # asyncio.Transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; dropped before the handshake is over, and after the end."""
        if self._ended or not self._established or self._tls is None:
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._flush()

    def write_eof(self) -> None:
        """Send close_notify, then a FIN. What still comes is dropped."""
        self._say_goodbye()
        self._raw.write_eof()

    def _say_goodbye(self) -> None:
        if self._established and not self._ended and self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # one of them says that the peer's has not come
                self._tls.unwrap()
            self._flush()
        self._ended = True

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def close(self) -> None:
        """Send what was written and close_notify, then close."""
        self._say_goodbye()
        self._raw.close()

    def abort(self) -> None:
        """Close now."""
        self._ended = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""
        return self._ended or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Let the client wait. What was read already is still handed on."""
        if not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Let it send again."""
        if not self._raw.is_closing():
            self._raw.resume_reading()

    def is_reading(self) -> bool:
        """Whether the client may send."""
        return self._raw.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the socket's transport; ``ssl_object`` is the `ssl.SSLObject`."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)
