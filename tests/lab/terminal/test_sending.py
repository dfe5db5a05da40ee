import pytest

from badgateway.running.answer import Answer
from badgateway.terminal.sending import Sent, names_of, outcome
from tests.support.tracerecords import CHAIN, NAMES, hung


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=502, reason="Bad Gateway"), "502 Bad Gateway"),
        (Answer(status=299), "299"),
        (
            Answer(status=200, reason="OK", truncated="received 10 of 20 bytes"),
            "200 OK, cut short: received 10 of 20 bytes",
        ),
        (Answer(failure="timed_out"), "no answer: timed out"),
        (Answer(failure="refused"), "no answer: refused"),
    ],
)
def test_what_the_client_got_in_a_few_words(answer: Answer, words: str) -> None:
    assert outcome(answer) == words


def test_the_summary_is_one_line() -> None:
    sent = Sent("GET", "/x", Answer(status=504, reason="Gateway Timeout", elapsed=0.8021), hung())
    assert sent.summary == "GET /x → 504 Gateway Timeout in 802 ms"


def test_the_attempts_of_one_hop() -> None:
    sent = Sent("GET", "/x", Answer(status=504), hung())
    assert [attempt["error"] for attempt in sent.attempts("lb")] == ["http_response_timeout"]
    assert sent.attempts("nobody") == []


def test_addresses_have_the_names_of_who_listens_there() -> None:
    assert names_of(CHAIN) == NAMES
