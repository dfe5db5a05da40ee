from badgateway.terminal.reasons import sentence, why
from tests.support.tracerecords import healthy, record, refused, trace


def test_the_deciding_hop_and_its_reason_are_named() -> None:
    assert why(refused()) == (
        "lb decided: The next hop's machine refused the connection [connection_refused] (to app-1)"
    )


def test_what_a_cache_answered_is_told_with_the_error_that_it_covers_up() -> None:
    hit = trace(record("cdn", cache="hit"), decided_by="cdn")
    assert why(hit) == "cdn answered from its cache: what it had stored is still fresh."
    stale = trace(record("cdn", cache="stale"), decided_by="cdn")
    assert why(stale) == "cdn answered from its cache, with what is not fresh any more but may still be served."
    covered = trace(record("cdn", cache="stale"), decided_by="cdn", error="connection_refused")
    assert why(covered) == (
        "cdn answered from its cache, with what is not fresh any more, in place of an error: "
        "The next hop's machine refused the connection [connection_refused]"
    )


def test_an_answer_of_the_app_is_the_apps() -> None:
    assert why(healthy()) == "The app answered, and every hop relayed it."


def test_a_cut_response_was_decided_after_the_head() -> None:
    cut = trace(record("lb", truncated=True, error="http_response_incomplete"))
    assert "had already passed the head on" in why(cut)


def test_nothing_recorded_is_said() -> None:
    assert why(trace()) == "No hop recorded this request."


def test_an_unknown_error_is_passed_on_as_it_is() -> None:
    assert sentence("something_new") == "something_new"
