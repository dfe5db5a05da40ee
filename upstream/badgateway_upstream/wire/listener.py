"""The listening socket, and what can be wrong with it: closed (refused), or its accept queue full (SYNs dropped).

asyncio's own server hides the socket; here it must be possible to stop accepting while it still listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import socket
from collections.abc import Callable
from typing import Any, Final

_LOG: Final = logging.getLogger("badgateway_upstream.wire.listener")
_RETRY: Final = 0.1
_REST: Final = 1.0
"""Seconds without accepting after EMFILE, as in asyncio's own server; else it would spin."""
_MOST_FILLERS: Final = 16
_HANDSHAKE_MS: Final = 100


class Listener:
    """Accepts connections on one address for ``factory``'s protocols. `address` is known after `open`."""

    def __init__(
        self,
        host: str,
        port: int,
        backlog: int,
        factory: Callable[[], asyncio.Protocol],
        accept: Callable[[socket.socket], tuple[socket.socket, Any]] = socket.socket.accept,
    ) -> None:
        self._host = host
        self._port = port
        self._backlog = backlog
        self._factory = factory
        self._accept_one = accept
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._own: set[tuple[str, int]] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self.accepted = 0

    @property
    def address(self) -> str:
        """``host:port``, with the port that the kernel gave."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port, once `open` was called."""
        return self._port

    def open(self) -> None:
        """Bind and listen. Raises OSError, with EADDRINUSE where the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((self._host, self._port))
            listening.listen(self._backlog)
        except OSError:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        self._socket = listening
        self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Stop listening: the kernel refuses new connections, and resets those it had queued."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._drop_fillers()
        self._own.clear()

    async def settled(self) -> None:
        """Wait until what was accepted has become connections."""
        if self._accepting:
            await asyncio.wait(self._accepting)

    def fill(self) -> None:
        """Stop accepting and fill the kernel's accept queue: from then on Linux drops every SYN that arrives."""
        if self._socket is None or self._fillers:
            return
        self._loop.remove_reader(self._socket)
        # listen() on a listening socket only changes its backlog; a queue of backlog 0 holds one connection.
        self._socket.listen(0)
        for _ in range(_MOST_FILLERS):
            if not self._filled_by_one_more():
                return
        _LOG.warning("the accept queue still takes connections after %d of our own", _MOST_FILLERS)

    def listen_again(self) -> None:
        """Undo `close` or `fill`. A port that somebody took in the meantime is tried again until it is free."""
        if self._socket is not None:
            if self._fillers:
                self._socket.listen(self._backlog)
                self._drop_fillers()
                self._loop.add_reader(self._socket, self._accept, self._socket)
            return
        try:
            self.open()
        except OSError as error:
            _LOG.warning("cannot listen on %s again yet: %s", self.address, error)
            self._retry = self._loop.call_later(_RETRY, self.listen_again)

    def _filled_by_one_more(self) -> bool:
        """Connect once more; return whether the kernel still completed that connection."""
        assert self._socket is not None
        filler = socket.socket(self._socket.family, socket.SOCK_STREAM)
        filler.setblocking(False)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        filler.connect_ex((host, self._port))
        if not _connected(filler):
            filler.close()
            return False
        self._fillers.append(filler)
        self._own.add(filler.getsockname()[:2])
        return True

    def _drop_fillers(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(64):
            try:
                connection, peer = self._accept_one(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                _LOG.error("cannot accept: %s; trying again in a second", error)
                self._loop.remove_reader(listening)
                self._resting = self._loop.call_later(_REST, self.go_on)
                return
            if peer[:2] in self._own:
                self._own.discard(peer[:2])
                connection.close()
                continue
            connection.setblocking(False)
            self.accepted += 1
            task = self._loop.create_task(self._serve(connection))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _serve(self, connection: socket.socket) -> None:
        # A client may have gone already; asyncio then fails to ask who it was.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._factory, connection)
            return
        connection.close()

    def go_on(self) -> None:
        """Accept again, if a lack of descriptors or memory has stopped that."""
        if self._resting is None:
            return
        self._resting.cancel()
        self._resting = None
        if self._socket is not None and not self._fillers:
            self._loop.add_reader(self._socket, self._accept, self._socket)


def _connected(filler: socket.socket) -> bool:
    """Whether the kernel completes the handshake. It does so at once, or only a second later, when a SYN is resent."""
    poll = select.poll()
    poll.register(filler, select.POLLOUT)
    return bool(poll.poll(_HANDSHAKE_MS)) and filler.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
