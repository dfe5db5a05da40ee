import io

import pytest
from rich.console import Console

from badgateway.running.answer import Answer
from badgateway.running.results import Check, FaultResult, ScenarioResult, Seen, StepResult, WindowResult
from badgateway.scenario.model import parse_scenario
from badgateway.terminal.run_show import PlainRun, RunShow, TerminalRun, details, headline, summary
from tests.support.tracerecords import hung

SCENARIO = parse_scenario(
    "title: It hangs\ncode: 504\nsteps: [{request: GET /products}]", file="scenarios/504/app-hangs.yaml"
)
ANSWER = Answer(status=504, reason="Gateway Timeout", elapsed=0.8)


def held() -> ScenarioResult:
    step = StepResult(0, "request", "GET /products", 3, duration=0.8, checks=[Check("status", "504", "504", True)])
    return ScenarioResult(SCENARIO, duration=1.2, steps=[step])


def failed() -> ScenarioResult:
    step = StepResult(
        0,
        "request",
        "GET /products",
        3,
        checks=[Check("status", "502", "504", False)],
        seen=Seen(ANSWER, hung()),
    )
    return ScenarioResult(
        SCENARIO, outcome="failed", duration=1.2, steps=[step], faults=[FaultResult("f-1", "app", "hang", 2)]
    )


def test_a_scenario_that_held_is_one_line() -> None:
    assert headline(held()) == "held    504/app-hangs  1.20 s  It hangs"
    assert list(details(held(), verbose=False)) == []


def test_verbose_shows_every_step_and_what_was_measured() -> None:
    result = held()
    result.windows.append(WindowResult(0, 5, "after 1s", 10, Check("p95 < 1s", "to hold", "p95 = 2s", False)))
    assert list(details(result, verbose=True)) == [
        "held 1. GET /products  800 ms",
        "    held status: 504",
        "NOT HELD after 1s: p95 < 1s: expected to hold, measured p95 = 2s",
    ]


def test_one_that_failed_says_expected_measured_where_and_draws_the_request() -> None:
    told = list(details(failed(), verbose=False))
    assert told[0] == "scenarios/504/app-hangs.yaml:3: GET /products: status: expected 502, measured 504"
    assert told[1] == "scenarios/504/app-hangs.yaml:2: the fault hang at app never fired"
    assert told[2] == "GET /products → 504 Gateway Timeout in 800 ms"
    assert told[3].startswith("  cdn → lb    |wwww") or told[3].startswith("  cdn → lb")
    assert "http_response_timeout in wait, 800 ms" in told[4]


def show(presenter: RunShow) -> None:
    with presenter:
        presenter.started(SCENARIO)
        presenter.ended(failed())


def test_plain_lines_go_to_stdout_or_out_of_a_reports_way(capsys: pytest.CaptureFixture[str]) -> None:
    show(PlainRun(verbose=False))
    out, err = capsys.readouterr()
    assert out.startswith("FAILED  504/app-hangs  1.20 s  It hangs\n    scenarios/504/app-hangs.yaml:3: ")
    assert err == ""
    show(PlainRun(verbose=False, err=True))
    assert capsys.readouterr() == ("", out)


def test_a_terminal_gets_the_same_lines_above_its_progress() -> None:
    file = io.StringIO()
    show(TerminalRun(Console(file=file, width=120, force_terminal=True, no_color=True), 1, verbose=False))
    assert "FAILED  504/app-hangs" in file.getvalue()
    assert "expected 502, measured 504" in file.getvalue()


def test_the_summary_counts_outcomes() -> None:
    skipped = ScenarioResult(SCENARIO, outcome="skipped")
    assert summary([held(), failed(), skipped], 3.25) == "3 scenarios: 1 held, 1 failed, 1 skipped, in 3.2 s"
    assert summary([held()], 1) == "1 scenario: 1 held, in 1.0 s"
    assert summary([], 0) == "no scenarios: nothing run, in 0.0 s"
