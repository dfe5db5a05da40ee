"""The client of a request that a cache makes for itself: it takes everything in, and keeps nothing."""

from __future__ import annotations

from badgateway_proxy.transport.client_connection import ClientConnection


class Nobody:
    """What an exchange needs of a client, and no more.

    Args:
        client: on whose occasion the request is made; in its name, too (X-Forwarded-For).
    """

    __slots__ = ("address", "host", "writing_paused")

    def __init__(self, client: ClientConnection) -> None:
        self.address, self.host = client.address, client.host
        self.writing_paused = False

    def write(self, data: bytes) -> None:
        """Drop it."""

    async def drain(self, within: float) -> None:
        """There is nothing to wait for."""

    def reset_at_end(self) -> None:
        """There is no connection."""
