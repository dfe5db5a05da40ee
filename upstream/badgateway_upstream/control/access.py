"""Who may use the control API: the token's holder, at a loopback address, and no web page of somebody else's."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

TOKEN_VARIABLE: Final = "BADGATEWAY_TOKEN"  # noqa: S105 - the name of the variable, not a token


def find_token(configured: str | None, file: Path | None = None) -> tuple[str, bool]:
    """Return the token, and whether it was made up here: configured, from BADGATEWAY_TOKEN, from ``file``, or random.

    A file that does not exist is created with a random token, readable by its owner only. Raises OSError, and
    ``ValueError`` when the file holds none.
    """
    token = configured or os.environ.get(TOKEN_VARIABLE)
    if token:
        return token, False
    token = secrets.token_urlsafe(24)
    if file is None:
        return token, True
    if not file.exists():
        # linked into place when complete: whoever finds the file finds a whole token in it
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as created:
            created.write(token + "\n")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # somebody else was first, and theirs counts
        else:
            return token, False
        finally:
            draft.unlink()
    token = file.read_text().strip()
    if len(token) < 8:
        raise ValueError(f"{file} holds no token of at least 8 characters")
    return token, False


def error_response(status: int, message: str, **more: object) -> web.Response:
    """Return an error as the control API words it."""
    return web.json_response({"error": message, **more}, status=status)


def guard(token: str, allowed_hosts: Sequence[str]) -> Middleware:
    """Return a middleware that lets only the right requests through; ``GET /healthz`` needs no token."""
    expected = token.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not _host_allowed(host, allowed_hosts):
            return error_response(403, f"Host {host!r} is not allowed here; add it to admin.allowed_hosts")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return error_response(403, f"requests from pages of {origin!r} are not allowed here")
        if request.path == "/healthz" and request.method in ("GET", "HEAD"):
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
            response = error_response(401, "send 'Authorization: Bearer TOKEN' with this instance's token")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return await handler(request)

    return check


def _host_allowed(host: str, allowed: Sequence[str]) -> bool:
    if "*" in allowed or host in allowed:
        return True
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in allowed:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
