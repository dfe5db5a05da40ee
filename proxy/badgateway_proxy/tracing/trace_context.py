"""Which trace an exchange belongs to, and what its attempts tell the next hop of it.

Pure: random bits are a parameter. Rules: W3C Trace Context (https://www.w3.org/TR/trace-context/), sections 3.2
(traceparent) and 4.3 (what to do with it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED, _RANDOM = 0x01, 0x02

_PARENT_ONLY: Set[bytes] = frozenset((b"traceparent",))
#: A tracestate belongs to the traceparent beside it: of a trace that cannot be continued, neither goes on.
_BOTH: Set[bytes] = frozenset((b"traceparent", b"tracestate"))


@dataclass(frozen=True, slots=True)
class TraceParent:
    """What a request says of the trace that it belongs to: ids as numbers, flags as received."""

    trace_id: int
    parent_id: int
    flags: int


def parse_traceparent(values: Sequence[bytes]) -> TraceParent | None:
    """What the traceparent fields of a request say; None where there is none, or more than one, or it is invalid.

    One of a later version counts by what version 00 knows of it (section 3.2.4).
    """
    if len(values) != 1:
        return None
    found = _TRACEPARENT.fullmatch(values[0])
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    parsed = TraceParent(int(trace_id, 16), int(parent_id, 16), int(flags, 16))
    return parsed if parsed.trace_id and parsed.parent_id else None


@dataclass(slots=True)
class Trace:
    """An exchange's part in a trace: ids as numbers, `parent_id` None where the trace begins here."""

    trace_id: int
    span_id: int
    """Of the exchange's own span."""
    parent_id: int | None
    flags: int
    """As they go on."""
    replaced: Set[bytes]
    """The client's fields that do not go on as they came, by their names in lower case."""
    host: str | None = None
    """What the client called this hop: its Host field."""

    @property
    def sampled(self) -> bool:
        """Whether its spans are recorded."""
        return bool(self.flags & _SAMPLED)

    def traceparent(self, span_id: int) -> bytes:
        """The field's value for a request that belongs to a span."""
        return b"00-%032x-%016x-%02x" % (self.trace_id, span_id, self.flags)


def begin(values: Sequence[bytes], bits: Callable[[int], int], ratio: float) -> Trace:
    """Continue a client's trace, or begin one.

    Args:
        values: of its traceparent fields.
        bits: so many random bits.
        ratio: the share of traces that are recorded of those that begin here, by their ids, as OpenTelemetry's
            TraceIdRatioBased has it. In others, the client has decided.
    """
    parent = parse_traceparent(values)
    span_id = new_id(bits, 64)
    if parent is not None:
        # Flags that are not known must not go on (section 3.2.2.5.2); level 2 adds that of a random id, to be kept.
        flags = parent.flags & (_SAMPLED | _RANDOM)
        return Trace(parent.trace_id, span_id, parent.parent_id, flags, _PARENT_ONLY)
    trace_id = new_id(bits, 128)
    sampled = trace_id % (1 << 64) < round(ratio * (1 << 64))
    return Trace(trace_id, span_id, None, _SAMPLED if sampled else 0, _BOTH)


def new_id(bits: Callable[[int], int], size: int) -> int:
    """An id of so many random bits; never 0, which stands for none."""
    while not (made := bits(size)):
        pass
    return made
