"""What there is to say about status codes: those from 500 to 511, and the client's errors that hops know more of.

What error types and scenarios say of a code is not repeated here: `explain` takes it from their own tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from badgateway.scenario.catalogue import ScenarioEntry


@dataclass(frozen=True)
class CodeInfo:
    """What is known about one status code.

    `registered`: what IANA's registry of HTTP status codes says of it
    (https://www.iana.org/assignments/http-status-codes). `envoy` (response flags), `haproxy` (termination states),
    `nginx` (words of its error log) and `cloudflare`: what it is called there beside the names of its error types, or
    what they send instead.
    """

    code: int
    name: str
    sentence: str
    sender: str
    retry: str
    alert: str
    section: str
    registered: str = "yes"
    envoy: str = ""
    haproxy: str = ""
    nginx: str = ""
    cloudflare: str = ""


CODES: Final = {
    info.code: info
    for info in (
        CodeInfo(
            500,
            "Internal Server Error",
            "Whoever answered met a condition of its own that it cannot explain to you.",
            "Almost always the app: an exception nobody caught. A hop sends it about itself "
            "(proxy_internal_error) or its configuration; then Proxy-Status says so.",
            "Seldom: the same input usually meets the same bug. Only idempotent requests.",
            "Yes, on a rate. Look in the app's log for the request id, not in the gateway's.",
            "RFC 9110 section 15.6.1",
        ),
        CodeInfo(
            501,
            "Not Implemented",
            "The server does not know this method at all (405 is for a method that this resource does not allow).",
            "The app, or the first gateway whose parser does not know the method (http1.allow_custom_methods).",
            "No: it will not learn it in the meantime.",
            "No single one, except after a deploy that ought to have brought it. The alerts on 5xx count it, so that "
            "many fire them.",
            "RFC 9110 section 15.6.2",
        ),
        CodeInfo(
            502,
            "Bad Gateway",
            "A gateway asked the next hop, and what came back, if anything, was no valid response.",
            "A hop, about the hop or app behind it. The app behind may never have seen the request.",
            "Idempotent requests: yes, elsewhere if possible. Others only if nothing had been sent (refused).",
            "Yes: something died, was deployed badly, or speaks another protocol.",
            "RFC 9110 section 15.6.3",
        ),
        CodeInfo(
            503,
            "Service Unavailable",
            "Whoever answered is not willing or able to serve now, and expects that to pass.",
            "A hop that protects what is behind it (open breaker, no endpoint, limit, maintenance), or the app itself.",
            "Later: when Retry-After says, and with jitter. At once only adds to the load.",
            "Yes when it lasts; a planned 503 with Retry-After is no incident.",
            "RFC 9110 section 15.6.4",
        ),
        CodeInfo(
            504,
            "Gateway Timeout",
            "A gateway asked the next hop, and its answer did not come before a deadline.",
            "The hop whose deadline passed first; the work behind it may still be going on.",
            "Idempotent requests, with care: what is slow because it is overloaded gets slower by retries.",
            "Yes. Find the slowest hop behind the one that decided: a query, a lock, a frozen process.",
            "RFC 9110 section 15.6.5",
        ),
        CodeInfo(
            505,
            "HTTP Version Not Supported",
            "The server does not speak the major version of HTTP that the request names.",
            "The first hop that parses the request.",
            "No: send another version.",
            "No single one: it is the client's doing. The alerts on 5xx count it all the same, so that many fire them.",
            "RFC 9110 section 15.6.6",
            envoy="sends 426",
            haproxy="serves it",
            nginx="sends 505",
        ),
        CodeInfo(
            506,
            "Variant Also Negotiates",
            "Content negotiation is misconfigured: the variant that was chosen negotiates again.",
            "A server with transparent content negotiation; seldom seen.",
            "No: the configuration has to change.",
            "Yes, after a configuration change.",
            "RFC 2295 section 8.1",
            registered="yes, though seldom seen: RFC 2295 is an experiment that hardly any server took part in",
        ),
        CodeInfo(
            507,
            "Insufficient Storage",
            "The server cannot store what the request would have it store.",
            "A WebDAV server whose quota or disk is full.",
            "No, not before somebody has made room.",
            "Yes: a full disk seldom stops at one request.",
            "RFC 4918 section 11.5",
        ),
        CodeInfo(
            508,
            "Loop Detected",
            "The server met a loop while it worked on the request (WebDAV, Depth: infinity).",
            "A WebDAV server; some gateways also for a request that came back to them "
            "(RFC 9209 recommends 502 with proxy_loop_detected for that).",
            "No: the loop stays until somebody opens it.",
            "Yes: it is a configuration error.",
            "RFC 5842 section 7.2",
        ),
        CodeInfo(
            509,
            "Bandwidth Limit Exceeded",
            "The site has used up the traffic that its plan allows for a period.",
            "Web hosts (Apache with cPanel made it known).",
            "Not before the period ends.",
            "Yes: every visitor gets it.",
            "none",
            registered="no: IANA has it unassigned; 503 or 429 would be the registered choice",
        ),
        CodeInfo(
            510,
            "Not Extended",
            "The request lacks a mandatory extension that the resource demands.",
            "Practically nobody: RFC 2774 was an experiment and is now historic.",
            "Only with the extension that the response asks for.",
            "No single one: the client has to send the extension. The alerts on 5xx count it all the same, so that "
            "many fire them.",
            "RFC 2774 section 7",
            registered="yes, but marked OBSOLETED: RFC 2774 was made historic",
        ),
        CodeInfo(
            511,
            "Network Authentication Required",
            "You must log in to the network before it lets you reach anything.",
            "A captive portal between client and server, never the server itself.",
            "After logging in.",
            "No single one: it is the network of the client. The alerts on 5xx count it where the portal is a hop of "
            "yours, so that many fire them.",
            "RFC 6585 section 6",
        ),
    )
}
"""The status codes that this project teaches."""


CLIENT_CODES: Final = {
    info.code: info
    for info in (
        CodeInfo(
            400,
            "Bad Request",
            "The request is malformed: its syntax, its framing or its target.",
            "The first hop that cannot parse it, or the app for content that it does not understand.",
            "No: the client has to send a correct request.",
            "No: it is the client's doing. A jump after a release of the client is worth a look.",
            "RFC 9110 section 15.5.1",
            envoy="DPE",
            haproxy="PR",
            nginx="client sent invalid request / invalid header line",
        ),
        CodeInfo(
            405,
            "Method Not Allowed",
            "The method is known, but this resource does not allow it; Allow lists those that it does.",
            "The app, and hops relay it; of a hop, only its admin API sends it.",
            "No: use one of the methods in Allow.",
            "No: it is the client's doing.",
            "RFC 9110 section 15.5.6",
        ),
        CodeInfo(
            408,
            "Request Timeout",
            "The client did not send its request in the time that the server waits for one.",
            "The hop next to the client, about the client: its connection or the client itself is too slow.",
            "Hops do not. The client may, on a new connection: the request never arrived whole.",
            "No: it is the client's doing. Many at once may be an attack with slow requests.",
            "RFC 9110 section 15.5.9",
            envoy="SI",
            haproxy="cR",
            nginx="client timed out (110) while reading client request headers (closes without a response)",
        ),
        CodeInfo(
            413,
            "Content Too Large",
            "The request's body is larger than the server takes.",
            "The first hop whose limit it exceeds (limits.request_body), or the app.",
            "No: send less.",
            "No: it is the client's doing, unless a limit was set too low.",
            "RFC 9110 section 15.5.14",
            nginx="client intended to send too large body",
        ),
        CodeInfo(
            414,
            "URI Too Long",
            "The request's target is longer than the server takes.",
            "The first hop whose limit it exceeds (limits.request_line).",
            "No: put what is long into a body.",
            "No: it is the client's doing. Redirects that grow the URL on each turn are a usual cause.",
            "RFC 9110 section 15.5.15",
            haproxy="PR (sends 400)",
            nginx="client sent too long URI",
        ),
        CodeInfo(
            429,
            "Too Many Requests",
            "This client has sent more requests than it may in a span of time; others are served.",
            "The hop that limits clients (rate_limit.client), or the app. A limit for the whole server is a 503.",
            "Hops do not. The client: when Retry-After says, with jitter; at once only adds to the count.",
            "No single one: the limit works. A burst of them yes, by a rule of its own: a client runs wild, "
            "or the limit is too low.",
            "RFC 6585 section 4",
            envoy="RL",
            haproxy="PR (http-request deny deny_status 429)",
            nginx="limiting requests, excess (sends 503 unless limit_req_status says 429)",
            cloudflare="429, error 1015",
        ),
        CodeInfo(
            431,
            "Request Header Fields Too Large",
            "One header of the request, or all together, is larger than the server takes.",
            "The first hop whose limit it exceeds (limits.request_header and its neighbours).",
            "No, not before the headers are smaller; cookies are the usual cause.",
            "No: it is the client's doing, unless your own site sets the cookies.",
            "RFC 6585 section 5",
            envoy="DPE",
            haproxy="PR (sends 400)",
            nginx="client sent too long header line (sends 400)",
        ),
        CodeInfo(
            499,
            "Client Closed Request",
            "The client left before its response was there. None was sent, so this status exists in logs only.",
            "Nobody sends it. A hop's exchange record says client_gone; nginx made the number known.",
            "No: nobody waits for the answer any more. A client that comes back sends a new request.",
            "No single one. Many at once say that somebody waited too long: look at the latency, and at the "
            "deadline of whoever is in front.",
            "none",
            registered="no: IANA has it unassigned; nginx made it up for its own log",
            envoy="DC",
            haproxy="CD, CH, CC, CQ",
            nginx="client prematurely closed connection (logs 499)",
            cloudflare="499",
        ),
    )
}
"""The client's errors of which a hop knows more than to relay them. Its own come with http_request_error."""

KNOWN_CODES: Final = CLIENT_CODES | CODES
"""Every code that has an explanation of its own."""

# RFC 9110's phrases: before Python 3.13 the standard library has older ones for these.
_RENAMED: Final = {416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def phrase(code: int) -> str:
    """The phrase of a code that has no explanation of its own here."""
    try:
        return _RENAMED.get(code) or HTTPStatus(code).phrase
    except ValueError:
        return "(no registered status code)"


def heading(code: int | None) -> str:
    """`502 Bad Gateway`: a code and its name."""
    if code is None:
        return "no code"
    info = KNOWN_CODES.get(code)
    return f"{code} {info.name if info else phrase(code)}"


def by_code(entries: Iterable[ScenarioEntry]) -> list[tuple[int | None, list[ScenarioEntry]]]:
    """Scenarios grouped by the code that they teach, in ascending order; those without a code come first."""
    groups: dict[int | None, list[ScenarioEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.code, []).append(entry)
    return sorted(groups.items(), key=lambda group: group[0] or 0)
