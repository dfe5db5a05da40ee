"""Keeps spans near: what sends them connects to no public address, whatever a name stands for at that moment."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from badgateway_proxy.policies.near_addresses import is_near


class NearAdapter(HTTPAdapter):
    """Connects to loopback, private and link-local addresses only: looks at the peer before anything is sent."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _NearPool, "https": _NearTlsPool}


def _check(connection: HTTPConnection) -> None:
    sock = connection.sock
    address = sock.getpeername()[0] if sock is not None else ""
    if not is_near(address):
        connection.close()
        raise NewConnectionError(connection, f"{address} is a public address (tracing.allow_public)")


class _NearConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _check(self)


class _NearTlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check(self)


class _NearPool(HTTPConnectionPool):
    ConnectionCls = _NearConnection


class _NearTlsPool(HTTPSConnectionPool):
    ConnectionCls = _NearTlsConnection
