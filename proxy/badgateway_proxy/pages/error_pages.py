"""The body of a response that a hop makes itself: problem details (RFC 9457), or a page for people."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from string import Template
from typing import Final

from badgateway_proxy.errors import ERROR_TABLE, ErrorType
from badgateway_proxy.pages.accept import preferred
from badgateway_proxy.records import escape_bytes

JSON_TYPE: Final = b"application/problem+json"
HTML_TYPE: Final = b"text/html; charset=utf-8"
# In order of preference, for a client that does not care.
_OFFERED: Final = ("application/problem+json", "application/json", "text/html")
# RFC 9110's phrases: before Python 3.13 the standard library has older ones for these.
_RENAMED: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    509: "Bandwidth Limit Exceeded",  # which no RFC has, and IANA has not registered
}
_CHAIN: Final = (("cdn", "CDN"), ("lb", "LB"), ("app", "app"))
# Whose problem it is, in words for a page.
_BLAME: Final = {
    "client": "the client’s request",
    "upstream": "the next hop",
    "network": "the way to the next hop",
    "proxy": "this hop",
    "operator": "this hop’s configuration",
}


@dataclass(frozen=True, slots=True)
class _Failure:
    """What both formats tell. ``first_bytes`` is already escaped, and None when it is not to be shown."""

    error: ErrorType
    status: int
    hop: str
    tier: str
    request_id: str
    details: str
    retry_after: float | None
    first_bytes: str | None
    method: str


def render(
    error: ErrorType,
    status: int,
    *,
    hop: str,
    tier: str,
    request_id: str,
    details: str,
    accept: str | None,
    retry_after: float | None = None,
    first_bytes: bytes | None = None,
    method: str = "GET",
    debug: bool = False,
) -> tuple[bytes, bytes]:
    """Return (content type, body) for a response that ``hop`` makes because of ``error``.

    JSON unless ``accept`` (the request's Accept field, None if absent) prefers text/html. ``retry_after`` is
    in seconds, and shown rounded up, as in the field of that name. ``first_bytes``, what the upstream sent,
    appears only with ``debug``: it may hold secrets. For HEAD the body is that of GET, so that its length can
    be announced; not sending it is up to the caller.
    """
    shown = escape_bytes(first_bytes) if debug and first_bytes else None
    failure = _Failure(error, status, hop, tier, request_id, details, retry_after, shown, method)
    wanted = preferred(accept, _OFFERED)
    if wanted == "text/html":
        return HTML_TYPE, _page(failure).encode()
    return b"application/json" if wanted == "application/json" else JSON_TYPE, _problem(failure)


def phrase(status: int) -> str:
    """The status's phrase in RFC 9110, such as ``Bad Gateway``; a plain word for one that has none."""
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _problem(failure: _Failure) -> bytes:
    info = ERROR_TABLE[failure.error]
    problem: dict[str, object] = {
        "type": f"https://www.rfc-editor.org/rfc/rfc9209#section-{info.section}",
        "title": phrase(failure.status),
        "status": failure.status,
        "detail": info.sentence,
        "error": failure.error.value,
        "details": failure.details,
        "decided_by": failure.hop,
        "tier": failure.tier,
        "request_id": failure.request_id,
    }
    if failure.retry_after is not None:
        problem["retry_after"] = math.ceil(failure.retry_after)
    if failure.first_bytes is not None:
        problem["first_bytes"] = failure.first_bytes
    return json.dumps(problem).encode() + b"\n"


_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>$status $phrase</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --paper: #f6f7f9; --card: #fff;
  --line: #d5dae1; --bad: #b3261e; --bad-ink: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebef; --soft: #a3adba; --paper: #14181e; --card: #1d232b; --line: #36404c;
    --bad: #f2b8b5; --bad-ink: #601410 } }
* { box-sizing: border-box }
body { margin: 0; padding: 6vh 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 40rem; margin: auto; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 .25rem; font-size: 1.5rem } h1 b { color: var(--bad) }
ol { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1.25rem 0; padding: 0; list-style: none }
li { display: flex; align-items: center; gap: .4rem }
li + li::before { content: "→"; color: var(--soft) }
li span { padding: .15rem .6rem; border: 1px solid var(--line); border-radius: 1rem }
li[aria-current] span { background: var(--bad); border-color: var(--bad); color: var(--bad-ink);
  font-weight: 600 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 1.25rem 0 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
code, pre { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
pre { margin: 0; white-space: pre-wrap }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr } dd { margin-bottom: .5rem } }
</style>
</head>
<body>
<main>
<h1><b>$status</b> $phrase</h1>
<p>$sentence</p>
<ol aria-label="The way of the request">$chain</ol>
<dl>$facts</dl>
</main>
</body>
</html>
""")


def _page(failure: _Failure) -> str:
    info = ERROR_TABLE[failure.error]
    facts = [
        ("Decided by", f"<strong>{escape(failure.hop)}</strong>"),
        ("Error", f"<code>{escape(failure.error.value)}</code>"),
        ("Details", escape(failure.details)),
        ("Look at", _BLAME[info.blame]),
        ("Usual cause", escape(info.cause)),
        ("Try again?", _advice(info.retry, failure)),
        ("Request ID", f"<code>{escape(failure.request_id)}</code>"),
    ]
    if failure.first_bytes is not None:
        facts.append(("First bytes received", f"<pre>{escape(failure.first_bytes)}</pre>"))
    return _PAGE.substitute(
        status=failure.status,
        phrase=escape(phrase(failure.status)),
        sentence=escape(info.sentence),
        chain=_chain(failure.hop, failure.tier),
        facts="".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts if text),
    )


def _advice(retry: str, failure: _Failure) -> str:
    advice = escape(retry)
    if failure.retry_after is not None:
        advice = f"In {math.ceil(failure.retry_after)} seconds (Retry-After). {advice}"
    return f"{advice} <small>This was a {escape(failure.method[:20])} request.</small>"


def _chain(hop: str, tier: str) -> str:
    """The way of a request as list items, this hop marked. A lone hop knows only its neighbours."""
    stations = [("client", "client"), *_CHAIN]
    if tier not in dict(_CHAIN):
        stations = [("client", "client"), (tier, hop), ("next", "next hop")]
    items = []
    for station, label in stations:
        mark = ' aria-current="step"' if station == tier else ""
        name = f"{label} ({hop})" if station == tier and hop.lower() != label.lower() else label
        items.append(f"<li{mark}><span>{escape(name)}</span></li>")
    return "".join(items)
