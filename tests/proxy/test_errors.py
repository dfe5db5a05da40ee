import pickle

from badgateway_proxy.errors import ErrorType, HopError, Phase


def test_carries_all_that_was_found_out() -> None:
    error = HopError(
        ErrorType.HTTP_PROTOCOL_ERROR,
        "no HTTP",
        phase=Phase.WAIT,
        first_bytes=b"\x16\x03",
        retry_after=3.0,
        bytes_sent=True,
    )
    assert (error.error, error.details, error.phase) == (ErrorType.HTTP_PROTOCOL_ERROR, "no HTTP", Phase.WAIT)
    assert (error.status, error.first_bytes, error.retry_after, error.bytes_sent) == (None, b"\x16\x03", 3.0, True)


def test_says_so_in_words() -> None:
    error = HopError(ErrorType.CONNECTION_REFUSED, "ECONNREFUSED", phase=Phase.CONNECT)
    assert str(error) == "connection_refused in phase connect: ECONNREFUSED"


def test_phases_are_the_words_of_the_records() -> None:
    assert [phase.value for phase in Phase] == ["client", "admission", "connect", "send", "wait", "receive"]
    assert pickle.loads(pickle.dumps(Phase.WAIT)) is Phase.WAIT
