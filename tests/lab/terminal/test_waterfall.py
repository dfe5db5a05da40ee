import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from badgateway.terminal import waterfall
from tests.support.tracerecords import NAMES, attempt, healthy, hung, record, refused, trace


def test_each_attempt_is_a_row_with_the_names_of_what_listens_there() -> None:
    labels = [row.label for row in waterfall.rows(healthy(), NAMES)]
    assert labels == ["cdn → lb", "lb → app-1", "app-1"]


def test_the_phase_that_took_the_time_fills_the_bar() -> None:
    cdn, lb, app = waterfall.lines(hung(), NAMES, width=20)
    assert cdn == "cdn → lb   |wwwwwwwwwwwwwwwwwwww| 504, 802 ms"
    assert lb == "lb → app-1 |wwwwwwwwwwwwwwwwwwww| http_response_timeout in wait, 800 ms"
    assert app == "app-1      |aaaaaaaaaaaaaaaaaaaa| no answer, fault f-1.1"


def test_a_row_starts_where_it_started_in_real_time() -> None:
    late = attempt("127.0.0.1:9001", started=0.5, wait=0.5)
    first = attempt("127.0.0.1:9002", wait=0.5, status=None, error="connection_terminated", phase="wait")
    lines = waterfall.lines(trace(record("lb", first, late, duration=1.0)), NAMES, width=10)
    assert lines[0].startswith("lb → app-2 #1 |wwwww.....|")
    assert lines[1].startswith("lb → app-1 #2 |.....wwwww|")


def test_waiting_in_line_for_a_connection_is_told_of_the_first_attempt() -> None:
    tries = (attempt("127.0.0.1:9001", started=0.3, wait=0.1), attempt("127.0.0.1:9002", started=0.4, wait=0.1))
    one, two = waterfall.lines(trace(record("lb", *tries, queued=0.3, duration=0.5)), NAMES, width=5)
    assert one == "lb → app-1 #1 |...w.| 200, 100 ms, after 300 ms in line"
    assert two == "lb → app-2 #2 |....w| 200, 100 ms"


def test_why_there_was_no_further_attempt_is_told_of_the_last() -> None:
    tries = [
        attempt(f"127.0.0.1:900{n}", connect=0.1, status=None, error="connection_refused", phase="connect")
        for n in (1, 2)
    ]
    one, two = waterfall.rows(trace(record("lb", *tries, not_retried="attempts used up")), NAMES)
    assert one.outcome == "connection_refused in connect, 100 ms"
    assert two.outcome == "connection_refused in connect, 100 ms; no retry: attempts used up"


def test_an_attempt_that_lost_against_another_says_so() -> None:
    lost = attempt("127.0.0.1:9001", wait=0.1, status=None, details="given up, as another attempt answered first")
    [row] = waterfall.rows(trace(record("lb", lost)), NAMES)
    assert row.outcome == "given up, as another attempt answered first, 100 ms"


def test_a_hop_that_asked_nobody_says_so() -> None:
    refusal = record("lb", status=503, generated=True, error="destination_unavailable")
    (line,) = waterfall.lines(trace(refusal), NAMES, width=5)
    assert line == "lb → nobody |.....| destination_unavailable, no attempt made"


def test_a_cache_that_answered_says_so() -> None:
    [row] = waterfall.rows(trace(record("cdn", cache="hit")), NAMES)
    assert (row.label, row.outcome) == ("cdn → nobody", "200, from its cache")
    tried = record("cdn", attempt("127.0.0.1:8081", status=None, error="connection_refused"), cache="stale")
    assert [row.outcome for row in waterfall.rows(trace(tried), NAMES)][1:] == ["200, stale, from its cache after all"]


def test_the_first_bytes_of_garbage_are_shown() -> None:
    spoilt = attempt("127.0.0.1:9001", wait=0.01, status=None, error="http_protocol_error", first_bytes="\\x16\\x03")
    lines = waterfall.lines(trace(record("lb", spoilt)), NAMES)
    assert lines[1].strip() == "first bytes: \\x16\\x03"


def test_many_attempts_are_told_and_not_painted() -> None:
    many = [attempt("127.0.0.1:9001", wait=0.001) for _ in range(50)]
    lines = waterfall.lines(trace(record("lb", *many)), NAMES)
    assert len(lines) == waterfall.SHOWN + 1
    assert lines[-1] == f"… and {50 - waterfall.SHOWN} more attempts"


def test_no_records_make_no_rows() -> None:
    assert waterfall.lines(trace(), NAMES) == []


@pytest.mark.parametrize("made", [healthy, hung, refused])
def test_the_drawing_says_what_the_lines_say(made: object) -> None:
    assert callable(made)
    screen = Console(file=io.StringIO(), width=120)
    screen.print(waterfall.drawing(made(), NAMES))
    file = screen.file
    assert isinstance(file, io.StringIO)
    for row in waterfall.rows(made(), NAMES):
        assert row.label in file.getvalue()
        assert row.outcome in file.getvalue()


lengths = st.floats(min_value=0, max_value=100, allow_nan=False)


@given(start=lengths, phases=st.lists(lengths, min_size=1, max_size=4), width=st.integers(1, 80), more=lengths)
def test_a_bar_has_its_width_and_something_in_it(start: float, phases: list[float], width: int, more: float) -> None:
    names = list(waterfall.PHASES)
    row = waterfall.Row("x", start, tuple(zip(names, phases, strict=False)), "")
    bar = waterfall.cells(row, row.end + more + 0.001, width)
    assert len(bar) == width
    assert any(bar)
