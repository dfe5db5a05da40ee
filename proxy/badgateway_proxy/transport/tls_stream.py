"""TLS between a socket and a protocol, over `ssl.SSLObject` and its memory buffers.

Not asyncio's own (`loop.create_connection(ssl=…)`), because that hides what this project is for. Measured on CPython
3.11 and uvloop: a handshake that fails sends no alert, so the peer never learns why; the bytes of a peer that does not
speak TLS are gone; a connection cut off without close_notify looks as if it had ended in good order.
"""

import asyncio
import contextlib
import os
import ssl
from enum import Enum, auto
from typing import Any, cast

#: As much as is decrypted, or read from the socket, at a time (bytes).
_PIECE = 64 * 1024

#: How many of the first bytes that the peer sent in the handshake are kept.
_FIRST_BYTES = 256


class _State(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    ENDING = auto()
    """Our close_notify is out: nothing is written any more, and what comes is dropped."""
    LOST = auto()


_LIVING = (_State.HANDSHAKE, _State.OPEN)


class HandshakeCutOffError(ConnectionAbortedError):
    """The peer closed the connection before the TLS handshake was over, without an alert."""


class TlsStream(asyncio.Transport, asyncio.Protocol):
    """The transport of `protocol`, and itself the protocol of the socket's transport.

    `protocol.connection_made` is called when the handshake is over. What OpenSSL finds wrong (`ssl.SSLError`) comes
    out of `handshake` while that lasts and of `protocol.connection_lost` later; there `ssl.SSLEOFError` means that the
    peer ended the connection without close_notify, so that nobody knows whether that was all (RFC 8446 section 6.1).

    Args:
        loop: the running event loop.
        context: versions, certificates, whom to trust.
        protocol: who speaks through it.
        server_hostname: on the client's side, the name to ask for and to find in the certificate.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext,
        protocol: asyncio.Protocol,
        *,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=context.protocol is ssl.PROTOCOL_TLS_SERVER,
            server_hostname=server_hostname,
        )
        #: Done when the handshake is over; raises why it failed: ssl.SSLError, OSError.
        self.handshake: asyncio.Future[None] = loop.create_future()
        self._state = _State.HANDSHAKE
        self._reading = True
        self._error: Exception | None = None
        self._raw: asyncio.Transport
        #: What the peer sent first, as it came: in the handshake, later none.
        self.first_bytes = b""

    # -- the handshake --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class
        if hasattr(transport, "max_size"):
            transport.max_size = _PIECE
        self._shake_hands()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._state = _State.OPEN
        self._flush()
        self.first_bytes = b""
        self._over(None)
        self._protocol.connection_made(self)
        self._read()

    def _fail(self, error: Exception) -> None:
        """End a handshake: the alert goes out that tells the peer why, then a FIN."""
        if self._state is not _State.HANDSHAKE:
            return
        self._state = _State.LOST
        self._flush()
        self._raw.close()
        self._over(error)

    def _give_up(self) -> None:
        """Have nothing more to do with the connection, which somebody else goes on with."""
        self._state = _State.LOST
        self.handshake.cancel()

    def _over(self, error: Exception | None) -> None:
        if self.handshake.done():
            return  # who waited has given up
        if error is None:
            self.handshake.set_result(None)
        else:
            self.handshake.set_exception(error)

    # -- from the socket ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._state is _State.HANDSHAKE:
            if len(self.first_bytes) < _FIRST_BYTES:
                self.first_bytes = (self.first_bytes + data)[:_FIRST_BYTES]
            self._incoming.write(data)
            self._shake_hands()
        elif self._state is _State.OPEN:
            self._incoming.write(data)
            self._read()

    def _read(self) -> None:
        """Hand on what can be decrypted, as long as the protocol takes it."""
        while self._state is _State.OPEN and self._reading:
            try:
                data = self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._break_off(_told_alike(error))
                return
            if not data:
                self._ended()
                return
            self._protocol.data_received(data)
        self._flush()  # what TLS itself has to say, such as to a key update

    def _ended(self) -> None:
        """The peer sent close_notify."""
        if not self._protocol.eof_received():
            self.close()

    def _break_off(self, error: Exception) -> None:
        self._error = error
        self._flush()
        self._state = _State.ENDING
        self._raw.close()

    def eof_received(self) -> None:
        if self._state is _State.HANDSHAKE:
            self._fail(HandshakeCutOffError())
            return
        self._incoming.write_eof()
        self._reading = True  # there is no more, so nothing is gained by holding back the rest
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ConnectionError):
            self._read_last_words()
        state, self._state = self._state, _State.LOST
        if state is _State.HANDSHAKE:
            self._over(exc or HandshakeCutOffError())
        elif state is not _State.LOST:
            self._protocol.connection_lost(self._error or exc)

    def _read_last_words(self) -> None:
        # asyncio stops reading when a write fails; what came before the reset, such as the alert that says why, or an
        # answer that came early, still lies in the socket.
        sock = self._raw.get_extra_info("socket")
        self._reading = True
        with contextlib.suppress(OSError):
            while self._state in _LIVING and (data := os.read(sock.fileno(), _PIECE)):
                self.data_received(data)

    def pause_writing(self) -> None:
        if self._state is not _State.HANDSHAKE:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._state is not _State.HANDSHAKE:
            self._protocol.resume_writing()

    # -- from the protocol: asyncio.Transport ---------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; dropped once the connection is ending, as asyncio's transports do."""
        if self._state is not _State.OPEN:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._break_off(error)
            return
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 section 6.1). The peer's own is not waited for."""
        self._state = _State.ENDING
        with contextlib.suppress(ssl.SSLError):  # one of them says that the peer's has not come
            self._tls.unwrap()
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say that no more comes: close_notify, then a FIN. What still comes is dropped."""
        if self._state is _State.OPEN:
            self._say_goodbye()
            self._raw.write_eof()

    def close(self) -> None:
        """Send what was written and close_notify, then close."""
        if self._state is _State.OPEN:
            self._say_goodbye()
        self._raw.close()

    def abort(self) -> None:
        """Close now, dropping unsent bytes."""
        if self._state is _State.OPEN:
            self._state = _State.ENDING
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._state is not _State.OPEN or self._raw.is_closing()

    def pause_reading(self) -> None:
        self._reading = False
        if not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            if not self._raw.is_closing():
                self._raw.resume_reading()
            self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return self._reading and self._raw.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's; `ssl_object` is the `ssl.SSLObject`."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)


def _told_alike(error: ssl.SSLError) -> ssl.SSLError:
    """An end without close_notify as an `ssl.SSLEOFError`, which it is since CPython's gh-95494; Debian 12 is older."""
    if error.reason == "UNEXPECTED_EOF_WHILE_READING" and not isinstance(error, ssl.SSLEOFError):
        return ssl.SSLEOFError(ssl.SSL_ERROR_EOF, str(error))
    return error
