"""The request of a step: `GET /products`, or a mapping."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, JsonValue, model_validator

from badgateway.inputs.problems import as_text
from badgateway.inputs.validation import Finding, refusal
from badgateway.scenario.expectation import Strict
from badgateway_proxy import Duration, format_duration

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")


def _method(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{as_text(value)} is no HTTP method")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or not _TARGET.fullmatch(value):
        raise ValueError(f"a path starts with / and has no spaces, unlike {as_text(value)}")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    odd = [
        n for n, text in value.items() if not _TOKEN.fullmatch(n) or not all(c == "\t" or c.isprintable() for c in text)
    ]
    if odd:
        raise refusal([Finding((name,), "is no header that can be sent", key=True) for name in odd])
    return value


def _patience(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


PATIENCE: Final = 15.0
"""Seconds that a client waits unless it says otherwise."""

Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Patience = Annotated[Duration, AfterValidator(_patience)]
"""How long a client waits, in seconds; longer than none at all."""


def _version(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}", value):
        raise ValueError(f'a version is two numbers and a dot, such as "2.0", unlike {as_text(value)}')
    return value


Version = Annotated[str, AfterValidator(_version)]
Method = Annotated[str, AfterValidator(_method)]
RequestPath = Annotated[str, AfterValidator(_path)]


class Drip(Strict):
    """How a slow client sends: so many bytes at a time, head and body alike."""

    bytes: int = Field(default=1, ge=1)
    every: Patience


class Request(Strict):
    """What to send, and where: `GET /products`, or a mapping."""

    method: Method = "GET"
    path: RequestPath = "/"
    headers: Headers = Field(default_factory=dict)
    body: str | None = None
    json_body: JsonValue = Field(default=None, alias="json")
    """Sent as the body, as application/json."""
    to: str = "cdn"
    """Where the request enters: cdn, lb, or an instance such as app-1."""
    timeout: Patience = Field(default=PATIENCE, json_schema_extra={"default": format_duration(PATIENCE)})
    """The client's own patience."""
    version: Version = "1.1"
    """The version of HTTP in the request line. What is sent stays HTTP/1.1, whatever this says."""
    drip: Drip | None = None
    """Send slowly: `{bytes: 10, every: 100ms}`."""
    times: int = Field(default=1, ge=1, le=10_000)
    concurrency: int = Field(default=1, ge=1, le=1_000)
    tries: int = Field(default=1, ge=1, le=10)
    """How often the client sends a request that gets a 5xx or no response, the first time included: at once, as
    naive clients do. The last answer counts, and all of the time."""
    session: str | None = None
    """A client that keeps its cookies, by a name of one's own, also from one step to the next."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        method, _, path = value.strip().partition(" ")
        if not path or not _TOKEN.fullmatch(method):
            raise ValueError(f"write a request as GET /products, unlike {as_text(value)}")
        return {"method": method, "path": path.strip()}

    @model_validator(mode="after")
    def _sendable(self) -> Request:
        if self.body is not None and self.json_body is not None:
            raise ValueError("has both body and json; one request has one body")
        if self.session is not None and self.concurrency > 1:
            raise ValueError("a session's requests come one after the other: leave concurrency out")
        return self

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def part_names() -> dict[str, str]:
    """The parts of a request as a file has them, and what `Request` calls them: `json` is `json_body`."""
    return {field.alias or name: name for name, field in Request.model_fields.items()}
