"""What `badgateway explain` says: of a status code from 500 to 511, of an error type of RFC 9209, or of another
gateway's word for one (Envoy's `UC`, HAProxy's `SH`).

Error types come from badgateway_proxy's one table; the codes' own texts are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import did_you_mean
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway_proxy import ERROR_TABLE, ErrorInfo, ErrorType


@dataclass(frozen=True)
class CodeInfo:
    """What is known about one status code.

    `registered` is what IANA's registry of HTTP status codes says of it.
    """

    code: int
    name: str
    sentence: str
    sender: str
    retry: str
    alert: str
    section: str
    registered: str = "yes"


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
            "The app or a hop.",
            "No: it will not learn it in the meantime.",
            "No, except after a deploy that ought to have brought it.",
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
            "A hop that protects what is behind it (open breaker, no endpoint, limit), or the app itself.",
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
            "No: it is the client's doing.",
            "RFC 9110 section 15.6.6",
        ),
        CodeInfo(
            506,
            "Variant Also Negotiates",
            "Content negotiation is misconfigured: the variant that was chosen negotiates again.",
            "A server with transparent content negotiation; seldom seen.",
            "No: the configuration has to change.",
            "Yes, after a configuration change.",
            "RFC 2295 section 8.1",
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
            "No.",
            "RFC 2774 section 7",
            registered="yes, marked obsoleted",
        ),
        CodeInfo(
            511,
            "Network Authentication Required",
            "You must log in to the network before it lets you reach anything.",
            "A captive portal between client and server, never the server itself.",
            "After logging in.",
            "No: it is the network of the client.",
            "RFC 6585 section 6",
        ),
    )
}
"""The status codes that this project teaches."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, as `label` and text; an entry without a label is a list item."""

    heading: str
    entries: Sequence[tuple[str, str]]


def explain(topic: str, catalogue: Sequence[ScenarioEntry]) -> list[Section]:
    """The explanation of `topic`: a code, an error type, or another gateway's name for one.

    Raises:
        InvalidRequest: nothing of that name is known; the message says what was perhaps meant.
    """
    if topic.isdecimal() and int(topic) in CODES:
        return [_code_section(CODES[int(topic)], catalogue)]
    word = topic.lower().replace("-", "_")
    if word in ERROR_TABLE:
        return [_error_section(ERROR_TABLE[ErrorType(word)], catalogue)]
    aliases = [info for info in ERROR_TABLE.values() if topic.upper() in _flags(info)]
    if aliases:
        return [_error_section(info, catalogue) for info in aliases]
    known = [*map(str, CODES), *ERROR_TABLE]
    hint = did_you_mean(topic, known) or "give a code from 500 to 511, or an error type such as connection_refused"
    raise InvalidRequest(f"nothing is known about {topic!r}; {hint}")


def _flags(info: ErrorInfo) -> set[str]:
    """Envoy's response flags and HAProxy's termination states of one type, upper case, remarks in brackets left out."""
    words = re.sub(r"\(.*?\)", "", f"{info.envoy},{info.haproxy}")
    return {word.strip().upper() for word in words.split(",")} - {""}


def _code_section(info: CodeInfo, catalogue: Sequence[ScenarioEntry]) -> Section:
    entries = [
        ("what", info.sentence),
        ("who", info.sender),
        ("retry?", info.retry),
        ("alert?", info.alert),
        ("section", info.section),
        ("registered", info.registered),
    ]
    causes = [row for row in ERROR_TABLE.values() if row.status == info.code]
    if causes:
        entries.append(("causes", "a hop says in Proxy-Status which of these it was:"))
        entries.extend(("", f"{row.token}: {row.sentence}") for row in causes)
    return Section(f"{info.code} {info.name}", [*entries, *_scenarios(info.code, None, catalogue)])


def _error_section(info: ErrorInfo, catalogue: Sequence[ScenarioEntry]) -> Section:
    names = {"Envoy": info.envoy, "HAProxy": info.haproxy, "nginx": info.nginx, "Cloudflare": info.cloudflare}
    called = "; ".join(f"{who} {word}" for who, word in names.items() if word)
    entries = [
        ("what", info.sentence),
        ("cause", info.cause),
        ("status", str(info.status) if info.status else "the one that fits the case"),
        ("blame", info.blame),
        ("retry?", info.retry),
        ("elsewhere", called or "no name of its own in Envoy, HAProxy, nginx or Cloudflare"),
        ("section", f"RFC 9209 section {info.section}"),
    ]
    return Section(str(info.token), [*entries, *_scenarios(None, str(info.token), catalogue)])


def _scenarios(code: int | None, error: str | None, catalogue: Sequence[ScenarioEntry]) -> Iterator[tuple[str, str]]:
    shown = [entry for entry in catalogue if entry.code == code or (error is not None and error in entry.causes)]
    if shown:
        yield "see it", "badgateway run ID"
        for entry in shown:
            yield "", f"{entry.id}: {entry.title}"


def plain(section: Section) -> Iterator[str]:
    """The section as lines of text, labels aligned."""
    yield section.heading
    width = max(len(label) for label, _ in section.entries)
    for label, text in section.entries:
        yield f"  {label:<{width}}  {text}" if label else f"  {'':<{width}}    {text}"
