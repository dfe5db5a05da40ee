"""Who may speak to the control API: Host and Origin checked, a bearer token, small bodies, errors as JSON.

Host is checked because a page on the web can make a browser resolve its own name to 127.0.0.1 (DNS rebinding);
Origin because a page can send requests here without reading the answers.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
from collections.abc import Collection, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.inputs.problems import InvalidInput, did_you_mean

MAX_BODY = 1024 * 1024
"""Bytes of a request body."""

log = logging.getLogger("badgateway.control.server")


class ApiError(Exception):
    """An answer that is an error: `status`, and a text that says what, and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def errors_as_json() -> Middleware:
    """Middleware: whatever a handler raises becomes `{"error": …}` with a fitting status."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _from_aiohttp(request, error)
        except ApiError as error:
            return answer(error.status, str(error))
        except (InvalidRequest, InvalidInput) as error:
            return answer(400, str(error))
        except EnvironmentProblem as error:
            return answer(503, str(error))
        except ConnectionError:
            raise
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            if "BADGATEWAY_DEBUG" in os.environ:
                log.exception("%s %s failed", request.method, request.path)
            else:
                log.warning("%s %s failed: %s", request.method, request.path, words)
            return answer(500, f"unexpected {words}")

    return middleware


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> web.Response:
    if error.status == 404:
        return answer(404, f"no {request.path} here; GET /api lists what there is")
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        response = answer(405, f"{request.method} is not for {request.path}; it takes {allowed}")
        response.headers["Allow"] = allowed
        return response
    if error.status == 413:
        return answer(413, f"the body is larger than {MAX_BODY} bytes")
    return answer(error.status, error.reason)


def answer(status: int, message: str) -> web.Response:
    """An error as the API sends it."""
    return web.json_response({"error": message}, status=status)


def admission(token: str, allowed_hosts: Collection[str], *, open_paths: Collection[str]) -> Middleware:
    """Middleware: refuse a foreign Host or Origin (403), and a missing or wrong token (401) but for `open_paths`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_trusted_host(request.host, allowed_hosts):
            raise ApiError(403, f"Host {request.host!r} is not this machine's; speak to 127.0.0.1 or localhost")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{request.host}", f"https://{request.host}"}:
            raise ApiError(403, f"requests from pages of {origin} are refused")
        if request.path not in open_paths and not _has_token(request, token):
            response = answer(401, "Authorization: Bearer <token> is missing or wrong; `badgateway up` printed it")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return await handler(request)

    return middleware


def known_parameters(known: Mapping[str, Collection[str]], *, open_paths: Collection[str]) -> Middleware:
    """Middleware: refuse a query parameter that an endpoint (`GET /api/faults`) does not have."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is not None and request.path not in open_paths:
            names = known.get(f"{request.method} {resource.canonical}", ())
            for name in request.query:
                if name not in names:
                    there = did_you_mean(name, names) or (f"there is {', '.join(names)}" if names else "it has none")
                    raise ApiError(400, f"unknown parameter {name[:80]!r}; {there}")
        return await handler(request)

    return middleware


def _has_token(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def is_trusted_host(host: str, allowed: Collection[str]) -> bool:
    """Whether a Host header can only mean us: an IP literal, a loopback name, or one of `allowed` (`*`: any)."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    name = name.strip("[]").lower().rstrip(".")
    if "*" in allowed or name in allowed or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
