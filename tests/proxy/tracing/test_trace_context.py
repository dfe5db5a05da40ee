"""Which trace a request belongs to (W3C Trace Context), by tables, and for whatever a client may send."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.tracing.trace_context import TraceParent, begin, new_id, parse_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (VALID, 1),
        (f"00-{TRACE}-{PARENT}-00", 0),
        (f"00-{TRACE}-{PARENT}-ff", 255),
        (f"01-{TRACE}-{PARENT}-01", 1),
        (f"cc-{TRACE}-{PARENT}-03-what-the-future-will-be-like", 3),
    ],
)
def test_a_valid_traceparent(value: str, flags: int) -> None:
    assert parse_traceparent([value.encode()]) == TraceParent(int(TRACE, 16), int(PARENT, 16), flags)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        VALID.upper(),
        f" {VALID}",
        f"{VALID}-",
        f"{VALID}-more",
        f"cc-{TRACE}-{PARENT}-01more",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}x-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_an_invalid_traceparent(value: str) -> None:
    assert parse_traceparent([value.encode()]) is None


def test_there_must_be_exactly_one() -> None:
    assert parse_traceparent([]) is None
    assert parse_traceparent([VALID.encode(), VALID.encode()]) is None


@given(
    trace_id=st.integers(1, (1 << 128) - 1),
    parent_id=st.integers(1, (1 << 64) - 1),
    flags=st.integers(0, 255),
    seed=st.integers(0, 1000),
)
def test_a_valid_one_is_continued(trace_id: int, parent_id: int, flags: int, seed: int) -> None:
    sent = b"00-%032x-%016x-%02x" % (trace_id, parent_id, flags)
    trace = begin([sent], random.Random(seed).getrandbits, ratio=0.0)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (trace_id, parent_id, bool(flags & 1))
    assert trace.replaced == {b"traceparent"}
    assert trace.span_id
    onwards = parse_traceparent([trace.traceparent(7)])
    assert onwards == TraceParent(trace_id, 7, flags & 0b11)  # flags that are not known do not go on


@given(value=st.binary(max_size=70), seed=st.integers(0, 1000))
def test_any_other_begins_a_trace_and_ends_the_tracestate(value: bytes, seed: int) -> None:
    if parse_traceparent([value]) is not None:
        return
    trace = begin([value], random.Random(seed).getrandbits, ratio=1.0)
    assert (trace.parent_id, trace.sampled) == (None, True)
    assert trace.replaced == {b"traceparent", b"tracestate"}
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace.traceparent(trace.span_id))
    assert parse_traceparent([trace.traceparent(trace.span_id)]) is not None


@pytest.mark.parametrize(
    ("low_bits", "ratio", "sampled"),
    [
        (0, 0.0, False),
        ((1 << 64) - 1, 1.0, True),
        ((1 << 63) - 1, 0.5, True),
        (1 << 63, 0.5, False),
    ],
)
def test_a_share_of_the_traces_that_begin_here_is_sampled_by_their_ids(
    low_bits: int, ratio: float, *, sampled: bool
) -> None:
    """As OpenTelemetry's TraceIdRatioBased, so that all services with the same ratio agree."""
    trace_id = 1 << 64 | low_bits
    assert begin([], {64: 9, 128: trace_id}.__getitem__, ratio).sampled is sampled


def test_an_id_is_never_0() -> None:
    drawn = iter([0, 0, 5])
    assert new_id(lambda _: next(drawn), 64) == 5
