"""What `badgateway explain` says: of a status code from 500 to 511, of an error type of RFC 9209, or of another
gateway's word for one (Envoy's `UC`, HAProxy's `SH`, Cloudflare's `522`).

Of the client's errors (4xx), those that hops know more of are explained; of the others, that hops relay them.

Nothing is said twice: error types come from badgateway_proxy's one table, faults from badgateway_upstream's registry,
causes and scenarios from the scenario files, and the codes' own texts from `codes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from badgateway.alerting.rules import ALERTS
from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import did_you_mean
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.scenario.steps import ACTIONS
from badgateway.terminal.codes import CLIENT_CODES, CODES, KNOWN_CODES, CodeInfo, phrase
from badgateway_proxy import ERROR_TABLE, ErrorInfo, ErrorType
from badgateway_upstream import FAULTS

GATEWAYS = ("Envoy", "HAProxy", "nginx", "Cloudflare")


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
    if topic.isdecimal() and int(topic) in KNOWN_CODES:
        return [_code_section(KNOWN_CODES[int(topic)], catalogue)]
    if re.fullmatch("4[0-9][0-9]", topic):
        return [_relayed(topic, catalogue)]
    word = topic.lower().replace("-", "_")
    if word in ERROR_TABLE:
        return [_error_section(ERROR_TABLE[ErrorType(word)], catalogue)]
    if aliases := list(_named_elsewhere(topic.upper(), catalogue)):
        return aliases
    hint = "give a code from 400 to 511, or an error type such as connection_refused"
    if not word.isdigit():
        within = [str(error) for error in ERROR_TABLE if len(word) > 2 and word in error]
        hint = f"known: {', '.join(within)}" if within else did_you_mean(topic, [*ERROR_TABLE]) or hint
    raise InvalidRequest(f"nothing is known about {topic!r}; {hint}")


def _named_elsewhere(word: str, catalogue: Sequence[ScenarioEntry]) -> Iterator[Section]:
    """What another gateway calls so, in upper case."""
    yield from (_code_section(code, catalogue) for code in KNOWN_CODES.values() if word in _flags(code))
    yield from (_error_section(error, catalogue) for error in ERROR_TABLE.values() if word in _flags(error))


def _relayed(code: str, catalogue: Sequence[ScenarioEntry]) -> Section:
    """A client's error that only an origin server finds."""
    entries = [
        ("what", "The request was understood, and the client has to change something about it."),
        ("who", "The app. Hops send no " + code + " of their own here: they relay it as it came."),
        ("retry?", "Hops never retry it. The client only with another request."),
        ("alert?", "No: the gateway works. Watch its rate in the app's own figures."),
        ("section", "RFC 9110 section 15.5"),
    ]
    shown = [entry for entry in catalogue if entry.code == int(code)]
    return Section(f"{code} {phrase(int(code))}".strip(), [*entries, *_scenarios(shown)])


def _flags(info: ErrorInfo | CodeInfo) -> set[str]:
    """Envoy's flags, HAProxy's states and Cloudflare's codes for it, upper case, remarks in brackets left out."""
    words = re.sub(r"\(.*?\)", "", f"{info.envoy},{info.haproxy},{info.cloudflare}")
    return {word.strip().upper() for word in words.split(",")} - {""}


def _code_section(info: CodeInfo, catalogue: Sequence[ScenarioEntry]) -> Section:
    shown = [entry for entry in catalogue if entry.code == info.code]
    reported = [row for row in ERROR_TABLE.values() if row.status == info.code]
    entries = [
        ("what", info.sentence),
        ("who", info.sender),
        ("retry?", info.retry),
        ("alert?", info.alert),
        *_alerts(info.code),
        ("section", info.section),
        ("registered", info.registered),
        *_called([info, *reported]),
    ]
    causes = list(dict.fromkeys([*(str(row.token) for row in reported), *(c for e in shown for c in e.causes)]))
    if causes:
        entries.append(("causes", "and where to see each"))
        entries += [("", _cause(cause, shown)) for cause in causes]
    return Section(f"{info.code} {info.name}", [*entries, *_scenarios(shown)])


def _alerts(code: int) -> Iterator[tuple[str, str]]:
    """The alerts of the lab that count this code."""
    names = [alert.name for alert in ALERTS.values() if alert.bad.matches(code)]
    if names:
        yield "alerts", f"{', '.join(names)} (badgateway alerts)"


def _cause(cause: str, shown: Sequence[ScenarioEntry]) -> str:
    """`connection_refused: what it is. → 502/app-crashed, 502/lb-down`."""
    seen = ", ".join(entry.id for entry in shown if cause in entry.causes)
    said = " ".join(part for part in (_meaning(cause), f"→ {seen}" if seen else "") if part)
    return f"{cause}: {said}" if said else cause


def _meaning(cause: str) -> str:
    """What a cause of a scenario is: an error type, a fault, or a step that does it; empty for words of one's own."""
    if cause in ERROR_TABLE:
        return ERROR_TABLE[ErrorType(cause)].sentence
    if cause in FAULTS:
        return FAULTS[cause].summary
    step = ACTIONS.get(cause)
    return f"{(step.__doc__ or '').partition(': `')[0].partition('.')[0]}." if step else ""


def _error_section(info: ErrorInfo, catalogue: Sequence[ScenarioEntry]) -> Section:
    entries = [
        ("what", info.sentence),
        ("cause", info.cause),
        ("status", str(info.status) if info.status else "the one that fits the case"),
        ("blame", info.blame),
        ("retry?", info.retry),
        ("alert?", _alert(info)),
        ("elsewhere", _elsewhere(info)),
        ("section", f"RFC 9209 section {info.section}"),
        ("registered", "yes, among IANA's HTTP proxy error types"),
    ]
    return Section(str(info.token), [*entries, *_scenarios([e for e in catalogue if info.token in e.causes])])


def _alert(info: ErrorInfo) -> str:
    """Whether to alert on it: as on the status that it is sent with."""
    if info.blame == "client":
        return CLIENT_CODES[400].alert
    return CODES[info.status].alert if info.status in CODES else "As for the status that was sent with it."


NAMELESS = f"no name of its own in {', '.join(GATEWAYS[:-1])} or {GATEWAYS[-1]}"


def _elsewhere(info: ErrorInfo) -> str:
    """What an error type is called elsewhere: `Envoy UC; nginx upstream prematurely closed connection`."""
    names = [(gateway, getattr(info, gateway.lower())) for gateway in GATEWAYS]
    return "; ".join(f"{gateway} {name}" for gateway, name in names if name) or NAMELESS


def _called(infos: Sequence[CodeInfo | ErrorInfo]) -> Iterator[tuple[str, str]]:
    """What a code and all that leads to it is called elsewhere, a line for each gateway."""
    lines = []
    for gateway in GATEWAYS:
        separator = "; " if gateway == "nginx" else ", "  # its names are sentences of its log
        told = separator.join(text for info in infos if (text := getattr(info, gateway.lower())))
        if len(infos) > 1:
            told = told.replace(" (sends 503)", "")  # a remark on one error type, not on the code
        shown = list(dict.fromkeys(told.split(separator))) if told else []
        if shown:
            lines.append(f"{gateway}: {separator.join(shown)}")
    yield "elsewhere", "it, or what leads to it, is called" if lines else NAMELESS
    yield from (("", line) for line in lines)


def _scenarios(shown: Sequence[ScenarioEntry]) -> Iterator[tuple[str, str]]:
    if shown:
        yield "see it", "badgateway run ID"
        yield from (("", f"{entry.id}: {entry.title}") for entry in shown)


def plain(section: Section) -> Iterator[str]:
    """The section as lines of text, labels aligned."""
    yield section.heading
    width = max(len(label) for label, _ in section.entries)
    for label, text in section.entries:
        yield f"  {label:<{width}}  {text}" if label else f"  {'':<{width}}    {text}"
