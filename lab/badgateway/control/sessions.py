"""One lab that several people or test workers share: each names its session, and sees and sets only its own.

A session is a name in a request's header, on requests through the chain and on those to the control API alike. Nobody
opens or closes one. What all share (processes, configuration, breakers, the clock) cannot be changed from inside one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from badgateway.control.client import SESSION_HEADER as HEADER
from badgateway.control.guard import ApiError
from badgateway_upstream import FAULTS

BAGGAGE: Final = "badgateway-session"
"""The member of `baggage` (W3C Baggage section 3.3) that names it as well."""

_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_MEMBER: Final = re.compile(rf"(?:^|,)[ \t]*{BAGGAGE}[ \t]*=[ \t]*([^;, \t]*)")


def session_of(request: web.Request) -> str | None:
    """The session that a request to the control API speaks for; None: for whoever runs the lab.

    Raises:
        ApiError: what it names can be no session.
    """
    name = request.headers.get(HEADER)
    if name is None:
        found = _MEMBER.search(",".join(request.headers.getall("baggage", [])))
        name = found[1] if found else None
    if name is not None and not _NAME.fullmatch(name):
        raise ApiError(400, f"a session's name has 1 to 64 letters, digits, or -._~ of them; not {name[:80]!r}")
    return name


def of_all(request: web.Request, what: str) -> None:
    """Refuse, inside a session, what would change the chain for the others.

    Raises:
        ApiError: it is inside one.
    """
    if (session := session_of(request)) is not None:
        raise ApiError(
            409,
            f"{what} would change the chain for everybody, and {session!r} is one session of several; "
            f"use a lab of your own, or leave out {HEADER}",
        )


def fault_of(session: str, hops: list[str], target: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a fault that meets only the session's requests.

    Raises:
        ApiError: it cannot be kept from the others' requests.
    """
    fault = FAULTS.get(str(spec.get("kind")))
    if target in hops or (fault is not None and fault.category == "process"):
        raise ApiError(
            409,
            f"{spec.get('kind')} happens to a process that all sessions share; use a lab of your own, "
            f"or leave out {HEADER}",
        )
    if fault is not None and fault.before_the_request:
        raise ApiError(
            409,
            f"{spec.get('kind')} acts before any request is read, so it would meet every session; "
            f"use a lab of your own, or leave out {HEADER}",
        )
    when = spec.get("when") or {}
    if not isinstance(when, Mapping):
        return dict(spec)  # the lab says what is wrong with it
    if when.get("session", session) != session:
        raise ApiError(409, f"when.session is {when['session']!r}, but this is session {session!r}")
    return {**spec, "when": {**when, "session": session}}
