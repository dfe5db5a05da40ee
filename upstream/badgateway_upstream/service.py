"""What the connections of an instance share."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from badgateway_upstream.app.answers import Answer
from badgateway_upstream.app.handling import Equipment
from badgateway_upstream.engine.activefault import Exchange, OneTime
from badgateway_upstream.engine.book import Book
from badgateway_upstream.engine.registry import ProcessControls
from badgateway_upstream.wire.requests import Request

if TYPE_CHECKING:
    from badgateway_upstream.wire.connection import Connection


Strike = Callable[[], Awaitable[None] | None]


class App(Protocol):
    """What answers requests: the shop, or a relay to a real service."""

    def answer(self, request: Request, strike: Strike | None = None) -> Answer | Awaitable[Answer]:
        """Return the true answer, at once where that is possible.

        ``strike`` is called inside the handler: it may raise, and what it returns is awaited.
        """


class Service(Protocol):
    """What connections share."""

    @property
    def name(self) -> str:
        """The instance's name."""

    @property
    def book(self) -> Book:
        """The faults that are set."""

    @property
    def app(self) -> App:
        """What answers."""

    def tls_for(self, handshake: OneTime | None) -> ssl.SSLContext | None:
        """How to speak TLS on a connection, by the fault that acts on it; None: not at all."""

    @property
    def worker_timeout(self) -> float | None:
        """Seconds that a request may take before its connection is broken; None: as long as it takes."""

    @property
    def equipment(self) -> Equipment:
        """What handlers share."""

    @property
    def process(self) -> ProcessControls:
        """What process faults act on."""

    def opened(self, connection: Connection) -> None:
        """A connection was accepted."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""

    def began(self, request: Request, peer: str) -> Exchange:
        """A request arrived: make its record."""
