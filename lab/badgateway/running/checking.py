"""Compares what a request step expects with what was seen. Decides only; all I/O was done before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from badgateway.running.answer import Answer
from badgateway.running.results import Check, Seen
from badgateway.scenario.expectation import Expectation, HopExpectation
from badgateway_proxy import format_duration

BODY_SHOWN = 120


def needs_trace(expect: Expectation, answer: Answer) -> bool:
    """Whether the hops' records are needed to tell, beside the response."""
    return expect.is_about_records or bool((expect.error or expect.decided_by) and _unexplained(answer))


def _unexplained(answer: Answer) -> bool:
    """Whether something went wrong of which no header tells."""
    return answer.error is None and (answer.truncated is not None or answer.status is None)


def check_request(expect: Expectation, seen: Seen) -> list[Check]:
    """Everything that is expected of one request, in the order in which a reader cares."""
    return [*_response(expect, seen), *_content(expect, seen), *_inside(expect, seen)]


def _response(expect: Expectation, seen: Seen) -> Iterator[Check]:
    answer = seen.answer
    if expect.status is not None:
        held = expect.status.matches(answer.status)
        yield Check("status", str(expect.status), status_text(seen), held)
    if expect.failure is not None:
        yield _same("failure", expect.failure, answer.failure or "none")
    by, error = decision(seen)
    if expect.decided_by is not None:
        yield _same("decided_by", expect.decided_by, by or "nobody: there was no response")
    if expect.error is not None:
        yield _same("error", expect.error, error or "none")
    if expect.within is not None:
        held = answer.elapsed <= expect.within
        yield Check("within", format_duration(expect.within), elapsed_text(answer.elapsed), held)
    if expect.at_least is not None:
        held = answer.elapsed >= expect.at_least
        yield Check("at_least", format_duration(expect.at_least), elapsed_text(answer.elapsed), held)
    if expect.body_begins_within is not None:
        held = answer.body_after is not None and answer.body_after <= expect.body_begins_within
        measured = "no body" if answer.body_after is None else elapsed_text(answer.body_after)
        yield Check("body_begins_within", format_duration(expect.body_begins_within), measured, held)


def _content(expect: Expectation, seen: Seen) -> Iterator[Check]:
    answer = seen.answer
    if expect.retry_after is not None:
        seconds, text = answer.retry_after(), answer.header("retry-after")
        yield Check("retry_after", str(expect.retry_after), text or "absent", expect.retry_after.matches(seconds))
    for name, pattern in expect.header.items():
        values = answer.header_values(name)
        held = any(pattern.matches(value) for value in values) if values else pattern.matches(None)
        yield Check(f"header {name}", str(pattern), ", ".join(values) if values else "absent", held)
    if expect.body:
        body = answer.body.decode("utf-8", "backslashreplace")
        for text in expect.body:
            shown = body if len(body) <= BODY_SHOWN else f"{body[:BODY_SHOWN]}…"
            yield Check("body", f"contains {text!r}", repr(shown), text in body)
    if expect.truncated is not None:
        measured = f"yes: {answer.truncated}" if answer.truncated else "no"
        yield Check(
            "truncated", "yes" if expect.truncated else "no", measured, expect.truncated is bool(answer.truncated)
        )


def _inside(expect: Expectation, seen: Seen) -> Iterator[Check]:
    if expect.first_bytes is not None:
        texts = [text for record in _records(seen) for text in first_bytes_of(record)]
        held = any(expect.first_bytes in text for text in texts)
        yield Check("first_bytes", f"contain {expect.first_bytes!r}", "; ".join(map(repr, texts)) or "none kept", held)
    for hop, pattern in expect.attempts.items():
        count = sum(len(record.get("attempts", ())) for record in _records(seen, hop))
        yield Check(f"attempts.{hop}", str(pattern), str(count), pattern.matches(count))
    for hop, words in expect.cache.items():
        found = [str(record.get("cache") or "none") for record in _records(seen, hop)]
        measured = found[-1] if found else "no exchange"
        yield Check(f"cache.{hop}", " or ".join(words), measured, measured in words)
    for hop, wanted in expect.hops.items():
        records = _records(seen, hop)
        if records:
            yield from _hop(f"hops.{hop}", wanted, records[-1])
        else:
            yield Check(f"hops.{hop}", "an exchange", f"{hop} has no record of this request", held=False)


def _hop(name: str, wanted: HopExpectation, record: Mapping[str, Any]) -> Iterator[Check]:
    if wanted.status is not None:
        status = record.get("status")
        yield Check(f"{name}.status", str(wanted.status), _plain(status), wanted.status.matches(status))
    if wanted.error is not None:
        yield _same(f"{name}.error", wanted.error, record.get("error") or "none")
    if wanted.attempts is not None:
        count = len(record.get("attempts", ()))
        yield Check(f"{name}.attempts", str(wanted.attempts), str(count), wanted.attempts.matches(count))
    for key in ("generated", "truncated", "client_gone"):
        flag = getattr(wanted, key)
        if flag is not None:
            yield Check(f"{name}.{key}", _plain(flag), _plain(record.get(key)), record.get(key) is flag)


def decision(seen: Seen) -> tuple[str | None, str | None]:
    """Who decided, and the error type.

    Proxy-Status says it, as any client could read it. Only once a head was sent does the client's side not know why
    the body ended; then the hops' records say it.
    """
    answer, trace = seen.answer, seen.trace
    if trace is not None and trace.error and _unexplained(answer):
        return trace.decided_by, trace.error
    return answer.decided_by, answer.error


def first_bytes_of(record: Mapping[str, Any]) -> list[str]:
    """What a hop kept of responses that it could not use."""
    return [str(a["first_bytes"]) for a in record.get("attempts", ()) if a.get("first_bytes") is not None]


def status_text(seen: Seen) -> str:
    """`200`, or why there is none."""
    answer = seen.answer
    if answer.status is not None:
        return str(answer.status)
    return f"none ({answer.failure}: {answer.details})" if answer.details else f"none ({answer.failure})"


def elapsed_text(seconds: float) -> str:
    """A measured time, to four digits."""
    return f"{seconds * 1000:.4g}ms" if seconds < 1 else f"{seconds:.4g}s"


def first_unmet(expect: Expectation, all_seen: Sequence[Seen]) -> tuple[list[Check], Seen]:
    """The checks of the first request that fails one, else of the first request. At least one was seen."""
    for number, seen in enumerate(all_seen, start=1):
        checks = check_request(expect, seen)
        if not all(check.held for check in checks):
            if len(all_seen) == 1:
                return checks, seen
            where = f"request {number} of {len(all_seen)}: "
            return [Check(where + c.name, c.expected, c.measured, c.held) for c in checks], seen
    return check_request(expect, all_seen[0]), all_seen[0]


def _records(seen: Seen, hop: str | None = None) -> list[dict[str, Any]]:
    records = seen.trace.hops if seen.trace else []
    return [record for record in records if hop is None or record.get("hop") == hop]


def _same(name: str, expected: str, measured: str) -> Check:
    return Check(name, expected, measured, expected == measured)


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
