"""What `badgateway explain` says: of a status code from 500 to 511, of an error type of RFC 9209, or of another
gateway's word for one (Envoy's `UC`, HAProxy's `SH`).

Of the client's errors (4xx), those that hops send themselves are explained; of the others, that hops relay them.

Error types come from badgateway_proxy's one table, the codes' own texts from `codes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import did_you_mean
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import CLIENT_CODES, CODES, CodeInfo, phrase
from badgateway_proxy import ERROR_TABLE, ErrorInfo, ErrorType


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
    if re.fullmatch("4[0-9][0-9]", topic):
        return [_code_section(CLIENT_CODES[int(topic)], catalogue) if int(topic) in CLIENT_CODES else _relayed(topic)]
    word = topic.lower().replace("-", "_")
    if word in ERROR_TABLE:
        return [_error_section(ERROR_TABLE[ErrorType(word)], catalogue)]
    aliases = [info for info in ERROR_TABLE.values() if topic.upper() in _flags(info)]
    if aliases:
        return [_error_section(info, catalogue) for info in aliases]
    known = [*map(str, CLIENT_CODES | CODES), *ERROR_TABLE]
    hint = did_you_mean(topic, known) or "give a code from 400 to 511, or an error type such as connection_refused"
    raise InvalidRequest(f"nothing is known about {topic!r}; {hint}")


def _relayed(code: str) -> Section:
    """A client's error that only an origin server finds."""
    entries = [
        ("what", "The request was understood, and the client has to change something about it."),
        ("who", "The app. Hops send no " + code + " of their own here: they relay it as it came."),
        ("retry?", "Hops never retry it. The client only with another request, or when Retry-After says (429)."),
        ("alert?", "No: the gateway works. Watch its rate in the app's own figures."),
        ("section", "RFC 9110 section 15.5"),
    ]
    return Section(f"{code} {phrase(int(code))}".strip(), entries)


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
