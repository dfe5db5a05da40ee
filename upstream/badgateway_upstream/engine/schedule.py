"""When a fault fires. Pure: no sockets, no clock, and the random generator is a parameter."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from badgateway_upstream.strict import Strict

Name = Annotated[str, Field(min_length=1, max_length=1024)]


class When(Strict):
    """Which requests a fault takes. Conditions are combined with "and"; none at all means every request.

    `path` and the values of `header` may hold ``*``, which stands for any characters. `every`: only each nth of
    the requests that meet the conditions so far. `percentage`: that share of them, drawn with `seed`: the same seed
    on the same instance draws the same. `first`: only the first n that are left. `session`: requests that name
    it, see `sessions`.
    """

    path: Name | None = None
    """The request's path; * stands for any characters."""
    method: Name | list[Name] | None = None
    """The request's method, or several to choose from."""
    header: dict[Name, Name] | None = Field(default=None, max_length=32)
    """Request headers and their values; * stands for any characters."""
    session: Name | None = None
    """The session that the request names, by X-Badgateway-Session or baggage: badgateway-session=…"""
    instance: Name | None = None
    """The instance that it acts on."""
    every: int | None = Field(default=None, ge=1)
    """Only each nth of the requests that meet the conditions so far."""
    percentage: float | None = Field(default=None, ge=0, le=100)
    """That share of the requests, drawn with seed."""
    seed: int | None = None
    """Of the draw: the same seed on the same instance draws the same."""
    first: int | None = Field(default=None, ge=1)
    """Only the first n that are left."""

    @property
    def about_the_request(self) -> list[str]:
        """The names of the conditions set here that can only be decided once a request was read."""
        return [name for name in ("path", "method", "header", "session") if getattr(self, name) is not None]

    @property
    def at_once(self) -> bool:
        """Whether nothing here waits for a request: a process fault then fires as soon as it is set."""
        waiting = (self.every, self.percentage, self.first)
        return not self.about_the_request and all(value is None for value in waiting)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a schedule looks at: one request, or one accepted connection (then `method` is None)."""

    instance: str
    method: str | None = None
    path: str = ""
    headers: Sequence[tuple[str, str]] = ()
    number: int = 0
    """Which request of its connection this is, from 1; 0 for the connection itself."""

    def values(self, name: str) -> Iterator[str]:
        """The values of every header of that name, whatever its case."""
        wanted = name.lower()
        return (value for key, value in self.headers if key.lower() == wanted)


class Schedule:
    """Counts the occasions that one fault meets and decides which it takes.

    `matched` are those that met the conditions, `taken` those it said yes to.
    """

    __slots__ = ("_random", "matched", "taken", "when")

    def __init__(self, when: When, draw: random.Random) -> None:
        self.when = when
        self.matched = 0
        self.taken = 0
        self._random = draw

    def decide(self, occasion: Occasion) -> bool:
        """Whether the fault acts now. Counts and draws only for occasions that meet the conditions."""
        when = self.when
        if not meets(when, occasion):
            return False
        self.matched += 1
        # Drawn even when `every` says no, so that the nth matching request always gets the nth draw of its seed.
        drawn = when.percentage is None or self._random.random() * 100 < when.percentage
        if when.every is not None and self.matched % when.every:
            return False
        if not drawn or (when.first is not None and self.taken >= when.first):
            return False
        self.taken += 1
        return True


def meets(when: When, occasion: Occasion) -> bool:
    """Whether the occasion meets every condition that does not count."""
    if when.instance is not None and when.instance != occasion.instance:
        return False
    if when.path is not None and not glob(when.path, occasion.path):
        return False
    if when.method is not None:
        methods = [when.method] if isinstance(when.method, str) else when.method
        if (occasion.method or "").upper() not in {method.upper() for method in methods}:
            return False
    if when.session is not None and when.session not in sessions(occasion):
        return False
    wanted = (when.header or {}).items()
    return all(any(glob(value, got) for got in occasion.values(name)) for name, value in wanted)


_MEMBER = re.compile(r"(?:^|,)[ \t]*badgateway-session[ \t]*=[ \t]*([A-Za-z0-9._~-]{1,64})[ \t]*(?=[;,]|$)")


def sessions(occasion: Occasion) -> Iterator[str]:
    """The sessions that a request names: by X-Badgateway-Session, and as the member `badgateway-session` of its
    baggage (W3C Baggage section 3.3), which services on its way pass on by themselves where they are traced.
    """
    yield from occasion.values("X-Badgateway-Session")
    for baggage in occasion.values("baggage"):
        yield from _MEMBER.findall(baggage)


def glob(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, in which ``*`` stands for any characters. Linear in both lengths."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in rest:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
