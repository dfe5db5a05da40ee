"""Who may call the admin API: Host (against DNS rebinding), Origin (against other sites' pages), bearer token."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

LOG: Final = logging.getLogger("badgateway_proxy.admin.api")
OPEN_PATHS: Final = frozenset({"/healthz"})
"""Paths that need no token."""


def make_guards(token: str, own_host: str, allowed_hosts: Collection[str]) -> list[Middleware]:
    """Return the middlewares, outermost first: errors as JSON, then Host and Origin, then the token."""
    hosts = frozenset(host.lower() for host in (own_host, *allowed_hosts))

    @web.middleware
    async def check_host_and_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _host_allowed(request.host, hosts):
            raise web.HTTPForbidden(
                text=f"host {request.host[:80]!r} is not allowed; use a loopback name, or add it to admin.allowed_hosts"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"{request.scheme}://{request.host}".lower():
            raise web.HTTPForbidden(text=f"origin {origin[:80]!r} is not allowed: only this API's own pages are")
        return await handler(request)

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS and not token_matches(request.headers.get("Authorization", ""), token):
            raise web.HTTPUnauthorized(
                text="a bearer token is needed: Authorization: Bearer <token>, from the configuration, "
                "BADGATEWAY_TOKEN or the token file",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return [errors_as_json, check_host_and_origin, check_token]


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """``{"error": …}`` for everything that goes wrong, a bug's 500 included: its trace goes to the log only."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {key: value for key, value in error.headers.items() if key in ("Allow", "WWW-Authenticate")}
        return web.json_response({"error": _sentence(error)}, status=error.status, headers=headers)
    except Exception:  # aiohttp would answer with a page of HTML
        LOG.exception("the admin API failed on %s %s", request.method, request.path)
        return web.json_response({"error": "the admin API failed; its log says how"}, status=500)


def token_matches(authorization: str, token: str) -> bool:
    """Whether an Authorization field bears ``token`` (RFC 6750), compared in constant time."""
    scheme, _, given = authorization.partition(" ")
    # Bytes: compare_digest refuses text that is not ASCII, which a client may well send.
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return same and scheme.lower() == "bearer"


def _sentence(error: web.HTTPException) -> str:
    if error.status == 404 and error.text == f"404: {error.reason}":
        return "there is no such path here"
    if error.status == 405:
        return f"this path takes {', '.join(sorted(error.headers.get('Allow', '').split(',')))}"
    return error.text or error.reason


def _host_allowed(host: str, allowed: Collection[str]) -> bool:
    """Whether a Host field names this machine's loopback or one of ``allowed`` ("*": anything)."""
    if "*" in allowed:
        return True
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in allowed or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
