import io

from rich.console import Console

from badgateway.terminal import picture
from tests.support.tracerecords import CHAIN, healthy, hung, node, record, refused, trace


def drawn(row: list[picture.Box]) -> str:
    screen = Console(file=io.StringIO(), width=110, force_terminal=False)
    screen.print(picture.drawing(row))
    file = screen.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_healthy_request_is_relayed_by_both_hops_and_decided_by_the_app() -> None:
    row = picture.boxes(healthy(), CHAIN)
    assert [box.name for box in row] == ["you", "cdn", "lb", "app"]
    assert [box.decided for box in row] == [False, False, False, True]
    assert row[0].status == 200
    assert picture.line(row) == (
        "you → cdn (relayed 200) → lb (relayed 200) → [[ app DECIDED: app-1 answered 200, app-2 idle ]]"
    )


def test_the_hop_that_decided_is_marked_and_says_its_error() -> None:
    row = picture.boxes(refused(), [*CHAIN[:2], node("app-1", state="exited", exit="was killed by SIGKILL"), CHAIN[3]])
    assert [box.name for box in row if box.decided] == ["lb"]
    assert "[[ lb DECIDED: answered 502, connection_refused ]]" in picture.line(row)
    assert "app-1 killed" in picture.line(row)


def test_a_cache_that_answered_is_where_it_ends() -> None:
    row = picture.boxes(trace(record("cdn", cache="hit"), decided_by="cdn"), CHAIN)
    assert picture.line(row).startswith("you → [[ cdn DECIDED: answered 200, cache hit ]]")
    assert not row[2].reached


def test_the_drawing_marks_the_deciding_hop_and_shows_the_request() -> None:
    text = drawn(picture.boxes(hung(), CHAIN, request="GET /products"))
    assert text.count("DECIDED") == 1
    assert "GET /products" in text
    assert "got 504" in text
    assert "✗ hang" in text


def test_a_frozen_hop_never_saw_it_and_what_is_behind_it_was_not_reached() -> None:
    seen = trace(record("cdn", status=504, generated=True, error="http_response_timeout"), decided_by="cdn")
    row = picture.boxes(seen, [CHAIN[0], node("lb", state="frozen"), *CHAIN[2:]])
    assert [box.name for box in row if box.decided] == ["cdn"]
    assert row[2].lines == ("✗ frozen",)
    assert [box.reached for box in row] == [True, True, False, False]


def test_the_chain_at_rest_shows_everybody_ready() -> None:
    assert picture.line(picture.boxes(None, CHAIN)) == "you → cdn (ready) → lb (ready) → app (app-1 ready, app-2 ready)"


def test_an_open_breaker_and_a_cut_response_are_told() -> None:
    cut = record("lb", truncated=True, error="http_response_incomplete", breaker="half_open")
    row = picture.boxes(trace(record("cdn", truncated=True), cut), CHAIN)
    assert row[2].lines == ("relayed 200", "http_response_incomplete", "and cut it short", "breaker half-open")


def test_how_a_process_ended_is_told_from_exit_status_or_signal() -> None:
    assert picture.process_trouble(node("lb")) == ""
    assert picture.process_trouble(node("lb", state="exited", exit="was killed by SIGKILL")) == "✗ killed"
    assert picture.process_trouble(node("lb", state="exited", exit="exited with status 0")) == "✗ not running"
    assert picture.process_trouble(node("lb", state="frozen")) == "✗ frozen"
