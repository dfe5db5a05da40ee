import pytest

from badgateway.terminal import screen


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0.0 ms"), (0.00042, "0.4 ms"), (0.012, "12 ms"), (0.804, "804 ms"), (1.6, "1.60 s"), (75, "75.00 s")],
)
def test_seconds_read_as_people_say_them(value: float, words: str) -> None:
    assert screen.seconds(value) == words


def test_a_captured_stdout_is_no_terminal() -> None:
    assert not screen.is_terminal()
