import io

import pytest
from rich.console import Console

from badgateway.chain.lab import Lab
from badgateway.demo.show import PlainShow, TerminalShow, check_words, failures, verdict
from badgateway.demo.stage import Check, Result, Scene, Stage
from badgateway.running.answer import Answer
from badgateway.terminal.sending import Sent
from tests.support.tracerecords import CHAIN, hung


async def nothing(stage: Stage) -> None:
    """Not played here."""


SCENE = Scene("The app hangs", "A deadline passed.", nothing)
LAB: Lab = None  # type: ignore[assignment]  # neither presenter asks it anything


def result(*, held: bool = True) -> Result:
    return Result(
        done=["fault f-1: hang on app"],
        proofs=["f-1 hang: firing f-1.1"],
        checks=[Check("status 504", True, "504"), Check("decided by lb", held, "lb" if held else "cdn")],
        sent=[Sent("GET", "/products", Answer(status=504, reason="Gateway Timeout", elapsed=0.802), hung())],
        nodes=list(CHAIN),
    )


def play(show: PlainShow | TerminalShow, *results: Result) -> None:
    show.opening(LAB, CHAIN, 0.1)
    for number, each in enumerate(results, start=1):
        show.begin(number, len(results), SCENE)
        show.end(SCENE, each)
    show.closing(results, 2.5)


def test_plain_lines_say_what_was_done_seen_proven_held_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    play(PlainShow(), result())
    told = capsys.readouterr().out
    for line in (
        "[1/1] The app hangs",
        "  did    fault f-1: hang on app",
        "  sent   GET /products → 504 Gateway Timeout in 802 ms",
        "  proof  f-1 hang: firing f-1.1",
        "  held   status 504; decided by lb",
        "  why    A deadline passed.",
        "All 1 scenes held (2 checks) in 2.5 s.",
    ):
        assert f"{line}\n" in told
    assert "[[ lb DECIDED" in told
    assert "next: badgateway up  (" in told


def test_what_did_not_hold_is_said_in_the_scene_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    play(PlainShow(), result(), result(held=False))
    told = capsys.readouterr().out
    assert "  NOT HELD  decided by lb, but it was: cdn\n" in told
    assert "1 of 2 scenes did NOT hold, in 2.5 s:\n  scene 2: decided by lb, but it was: cdn\n" in told


@pytest.mark.parametrize("width", [80, 110, 40])
def test_a_terminal_gets_the_same_facts_within_its_width(width: int) -> None:
    file = io.StringIO()
    play(TerminalShow(Console(file=file, width=width)), result(), result(held=False))
    told = file.getvalue()
    assert "◀ DECIDED" in told or width == 40
    assert "✗ decided by lb, but it was: cdn" in " ".join(told.split())
    assert "A deadline passed." in told
    assert max(map(len, told.splitlines())) <= width


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check("status 504", True, "504"), "status 504"),
        (Check("Retry-After", True, "10"), "Retry-After: 10"),
        (Check("error none", True, "None"), "error none"),
        (Check("status 504", False, "502"), "status 504, but it was: 502"),
        (Check("five failures", False), "five failures, but it was: otherwise"),
    ],
)
def test_a_check_in_words(check: Check, words: str) -> None:
    assert check_words(check) == words


def test_the_verdict_counts_scenes_and_checks() -> None:
    assert verdict([result(), result()], 3.14) == "All 2 scenes held (4 checks) in 3.1 s."
    assert failures([result(), result(held=False)]) == [(2, Check("decided by lb", False, "cdn"))]
