"""Real TLS for tests: certificates that are really expired, or for another name, and peers that speak it."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

HOST = "127.0.0.1"
OURS = "ours"
DAY = timedelta(days=1)


@functools.cache
def authority(name: str) -> trustme.CA:
    """An authority, made once; OURS is trusted, others are not."""
    return trustme.CA(organization_name=name)


@functools.cache
def certificate(*names: str, by: str = OURS, lasts: int = 30) -> trustme.LeafCert:
    """A certificate for these names; `lasts` is in days from now on, less than 0: it expired so long ago."""
    now = datetime.now(UTC)
    return authority(by).issue_cert(*names, not_before=now - 60 * DAY, not_after=now + lasts * DAY)


def server(leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """What a server presents: a good certificate, unless told otherwise."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (leaf or certificate(HOST)).configure_cert(context)
    return context


def client(*alpn: str) -> ssl.SSLContext:
    """A client that trusts our authority, and takes no end without close_notify for an orderly one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    authority(OURS).configure_trust(context)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def files(folder: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1, its key and its authority as files: `certificate`, `key`, `ca`."""
    leaf = certificate(HOST)
    paths = {name: folder / f"{name}.pem" for name in ("certificate", "key", "ca")}
    leaf.private_key_pem.write_to_path(paths["key"])
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(paths["certificate"], append=True)
    authority(OURS).cert_pem.write_to_path(paths["ca"])
    return {name: str(path) for name, path in paths.items()}


@contextmanager
def openssl_server(context: ssl.SSLContext, answer: bytes = b"") -> Iterator[str]:
    """The address of a server that speaks TLS through blocking sockets, so that OpenSSL itself sends its alerts.

    To a request it sends `answer`, if there is one, and closes; asyncio's servers send no alert at all.
    """
    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context, answer), daemon=True)
        thread.start()
        yield f"{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(listener: socket.socket, context: ssl.SSLContext, answer: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(5)
        with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secure:
            while answer and secure.recv(65536):
                secure.sendall(answer)
