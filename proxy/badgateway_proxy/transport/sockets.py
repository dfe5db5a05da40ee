"""What connections need that asyncio's transports do not offer."""

import asyncio
import socket
import struct
from typing import Any


def end_in_reset(transport: asyncio.Transport) -> None:
    """Let the connection end in a RST instead of a FIN, whenever it is closed (SO_LINGER, socket(7))."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_off(transport: asyncio.Transport) -> None:
    """End at once, and let the kernel forget what the client did not take, too."""
    if not transport.get_write_buffer_size():
        return
    end_in_reset(transport)
    transport.abort()


def address_text(peer: Any) -> str:
    """A socket's address as `host:port`, `[host]:port` for IPv6; empty for none."""
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
