"""Pages that say what a hop means to say, where one about an error would mislead: maintenance, a login."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from string import Template
from typing import Final

from badgateway_proxy.errors import Page
from badgateway_proxy.pages.accept import preferred
from badgateway_proxy.pages.error_pages import HTML_TYPE, JSON_TYPE, phrase

_OFFERED: Final = ("application/problem+json", "application/json", "text/html")

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>$title</title>
$head<style>
body { margin: 0; padding: 12vh 1rem; font: 1.05rem/1.6 system-ui, sans-serif }
main { max-width: 34rem; margin: auto }
small { opacity: .7 } button { font: inherit; padding: .4rem 1.2rem }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$content
<p><small>$hop · request $request_id</small></p>
</main>
</body>
</html>
""")


def html_page(title: str, content: str, *, hop: str, request_id: str, head: str = "") -> bytes:
    """A whole page; ``content`` and ``head`` (more of the head) are HTML, all else is text."""
    shown = {"title": escape(title), "hop": escape(hop), "request_id": escape(request_id)}
    return _PAGE.substitute(shown, content=content, head=head).encode()


def maintenance(message: str, retry_after: float) -> Page:
    """The page of planned maintenance: what is going on, and when to come back (``retry_after``, in seconds)."""
    return partial(_maintenance, message, math.ceil(retry_after))


def _maintenance(
    message: str, retry_after: int, status: int, *, hop: str, request_id: str, accept: str | None
) -> tuple[bytes, bytes]:
    def page() -> bytes:
        content = f"<p>{escape(message)}</p>\n<p>Please come back in {_in_words(retry_after)}.</p>"
        return html_page("Down for maintenance", content, hop=hop, request_id=request_id)

    problem = {"detail": message, "details": "maintenance", "retry_after": retry_after}
    return _either(page, problem, status, hop=hop, request_id=request_id, accept=accept)


def login_required(link: str) -> Page:
    """The page of a 511: where to log in, and no login itself (RFC 6585 section 6). ``link``: a local URL."""
    return partial(_login_required, link)


def _login_required(link: str, status: int, *, hop: str, request_id: str, accept: str | None) -> tuple[bytes, bytes]:
    def page() -> bytes:
        url = escape(link)
        content = f'<p>You need to <a href="{url}">log in to this network</a> in order to gain access.</p>'
        more = f'<meta http-equiv="refresh" content="0; url={url}">\n'
        return html_page("Network Authentication Required", content, hop=hop, request_id=request_id, head=more)

    problem = {"detail": "You must log in to this network first.", "details": "not logged in", "login": link}
    return _either(page, problem, status, hop=hop, request_id=request_id, accept=accept)


def login_form(link: str) -> Page:
    """The login page itself; its form is sent to ``link``."""
    return partial(_login_form, link)


def _login_form(link: str, status: int, *, hop: str, request_id: str, accept: str | None) -> tuple[bytes, bytes]:
    content = (
        "<p>Welcome to this network. Please accept its terms of use.</p>\n"
        f'<form method="post" action="{escape(link)}"><button>Accept and connect</button></form>'
    )
    return HTML_TYPE, html_page("Log in", content, hop=hop, request_id=request_id)


def nothing(status: int, *, hop: str, request_id: str, accept: str | None) -> tuple[bytes, bytes]:
    """An empty page, for a response that only leads somewhere else."""
    return b"text/plain", b""


def _either(
    page: Callable[[], bytes],
    more: Mapping[str, object],
    status: int,
    *,
    hop: str,
    request_id: str,
    accept: str | None,
) -> tuple[bytes, bytes]:
    """A page for people or a problem document (RFC 9457), as the client prefers."""
    wanted = preferred(accept, _OFFERED)
    if wanted == "text/html":
        return HTML_TYPE, page()
    said = {"error": "proxy_internal_response", "decided_by": hop, "request_id": request_id}
    problem = {"title": phrase(status), "status": status, **said, **more}
    return b"application/json" if wanted == "application/json" else JSON_TYPE, json.dumps(problem).encode() + b"\n"


def _in_words(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{math.ceil(minutes / 60)} hours"
