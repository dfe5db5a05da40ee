"""Walking down from a collection through bindings that may lead back to where one came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from badgateway_upstream.app.dav.paths import Segments
from badgateway_upstream.app.dav.tree import Resource

MOST_MEMBERS: Final = 1000
"""Resources that one walk reports: a few collections that are bound twice each multiply without any loop."""
DEEPEST: Final = 200

Members = Callable[[Resource], list[tuple[str, Resource]]]


class LoopError(Exception):
    """A collection is below itself. ``segments`` is the binding that leads back, ``to`` where it leads."""

    def __init__(self, segments: Segments, to: Segments) -> None:
        super().__init__(segments, to)
        self.segments = segments
        self.to = to


class TooMuchError(Exception):
    """There is more below than one walk reports."""


@dataclass(frozen=True, slots=True)
class Met:
    """A resource that was met on the way. `already`: a collection whose members were reported elsewhere."""

    segments: Segments
    resource: Resource
    already: bool = False


def walk(start: Resource, segments: Segments, members: Members, depth: int | None, *, knows_208: bool) -> list[Met]:
    """Everything from ``start`` down to ``depth`` (None: infinity), each collection before its members.

    At infinite depth a loop ends the walk, unless the client knows 208 (Already Reported): then a collection that was
    met before is met once more, and not entered (RFC 5842 sections 7.1 and 7.2). Raises LoopError, TooMuchError.
    """
    met = [Met(segments, start)]
    entered = {start.id}
    way: list[tuple[Resource, Segments, Iterator[tuple[str, Resource]]]] = []

    def enter(collection: Resource, path: Segments) -> None:
        entered.add(collection.id)
        way.append((collection, path, iter(members(collection))))

    if start.collection and depth != 0:
        enter(start, segments)
    while way:
        _, path, left = way[-1]
        found = next(left, None)
        if found is None:
            way.pop()
            continue
        name, resource = found
        below = (*path, name)
        again = depth is None and resource.collection and resource.id in entered
        if again and not knows_208:
            _refuse_loop(resource, below, way)
            again = False
        met.append(Met(below, resource, again))
        if len(met) > MOST_MEMBERS or len(way) > DEEPEST:
            raise TooMuchError
        if resource.collection and not again and (depth is None or len(way) < depth):
            enter(resource, below)
    return met


def _refuse_loop(
    resource: Resource, below: Segments, way: list[tuple[Resource, Segments, Iterator[tuple[str, Resource]]]]
) -> None:
    for above, path, _ in way:
        if above.id == resource.id:
            raise LoopError(below, path)
