import importlib
import subprocess
import sys
import time
from itertools import groupby

import click
import pytest

from badgateway import cli
from badgateway.alerting.prometheus import rules
from badgateway.alerting.rules import ALERTS
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.inputs.problems import InvalidInput
from badgateway.session.exits import Interrupted

COMMANDS = list(cli.COMMANDS)


def command(name: str) -> click.Command:
    found: click.Command = importlib.import_module(f"badgateway.commands.{cli.COMMANDS[name].module}").command
    return found


def all_commands() -> list[tuple[str, click.Command]]:
    found = []
    for name in COMMANDS:
        chosen = command(name)
        found.append((name, chosen))
        if isinstance(chosen, click.Group):
            found += [(f"{name} {sub}", inner) for sub, inner in chosen.commands.items()]
    return found


@pytest.mark.parametrize(("name", "chosen"), all_commands())
def test_every_command_has_help_that_begins_with_what_it_does_and_ends_with_examples(
    name: str, chosen: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*name.split(), "--help"]) == 0
    told = capsys.readouterr().out
    assert "Example" in told
    assert f"badgateway {name}" in told.partition("Example")[2]
    assert max(map(len, told.splitlines())) <= 120


def test_the_overview_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    told = capsys.readouterr().out
    for name, entry in cli.COMMANDS.items():
        assert f"  {name}" in told
        assert entry.summary in told
    assert "130 interrupted" in told


def test_the_overview_imports_nothing_heavy_and_is_fast() -> None:
    script = """
    import sys, time
    started = time.perf_counter()
    from badgateway import cli
    assert cli.run(["--help"]) == 0
    print(time.perf_counter() - started, file=sys.stderr)
    print(sorted({"aiohttp", "pydantic", "rich", "asyncio", "ruamel.yaml"} & set(sys.modules)), file=sys.stderr)
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    ran = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=90)
    assert ran.stderr.splitlines()[1] == "[]"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("badgateway 0.")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["explan"], 'did you mean "explain"?'),
        (["list", "--jsn"], "--json"),
        (["up", "--cdn-port", "99999"], "65535"),
        (["run"], "say which"),
        (["run", "no-such-thing"], "no scenario or file"),
        (["show", "no-such-thing"], "no scenario or file"),
        (["validate", "/nowhere.yaml"], "no scenario or file"),
        (["request", "/products", "--timeout", "-1"], "is not in the range x>0"),
        (["explain", "connection_refusd"], 'did you mean "connection_refused"?'),
        (["fault", "kinds", "hangg"], 'did you mean "hang"?'),
    ],
)
def test_usage_errors_are_2_with_a_hint_on_stderr(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InvalidRequest("no such fault"), 2, "badgateway: no such fault\n"),
        (InvalidInput.one("is wrong", file="x.yaml"), 2, "x.yaml: is wrong\n"),
        (EnvironmentProblem("port taken"), 3, "badgateway: port taken\n"),
        (
            EnvironmentProblem("it died:\nTraceback (most recent call last):\n  File\nKeyError: 1"),
            3,
            "badgateway: it died: KeyError: 1 (BADGATEWAY_DEBUG=1 shows the traceback)\n",
        ),
        (
            ZeroDivisionError("by\nzero"),
            3,
            "badgateway: unexpected ZeroDivisionError: by zero; run with BADGATEWAY_DEBUG=1 for the traceback\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (Interrupted(), 130, ""),
        (click.Abort(), 130, ""),
        (click.ClickException("click says"), 1, "Error: click says\n"),
    ],
)
def test_every_way_of_ending_has_its_code_and_one_line(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("BADGATEWAY_DEBUG", raising=False)
    monkeypatch.setattr(cli.cli, "main", fails)
    assert cli.run([]) == code
    assert capsys.readouterr().err == said


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("BADGATEWAY_DEBUG", "1")
    monkeypatch.setattr(cli.cli, "main", fails)
    with pytest.raises(ZeroDivisionError):
        cli.run([])


def test_a_terminal_that_knows_no_arrows_gets_question_marks() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "badgateway", "--help"],
        capture_output=True,
        env={"PYTHONIOENCODING": "latin-1"},
        check=True,
        timeout=90,
    )
    assert b"CDN ? LB ? app" in ran.stdout


def test_help_answers_at_once() -> None:
    fastest = 60.0
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "badgateway", "--help"], capture_output=True, check=True, timeout=90)
        fastest = min(fastest, time.perf_counter() - started)
    bare = 60.0
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import click"], capture_output=True, check=True, timeout=90)
        bare = min(bare, time.perf_counter() - started)
    assert fastest < 3 * bare + 0.1


def test_kinds_of_faults_are_grouped_by_category(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "kinds"]) == 0
    categories = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(list(groupby(categories))) == len(set(categories))


def test_attributes_of_a_kind_are_told_as_one_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "kinds", "latency"]) == 0
    assert "  latency: How much later the answer begins. (default 100ms)\n" in capsys.readouterr().out
    assert cli.run(["fault", "kinds", "truncate"]) == 0
    assert "  at: Where, in the body: a number of bytes, or a share. (default 50%)\n" in capsys.readouterr().out


def test_alerts_are_listed_and_exported_from_the_same_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["alerts"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("In scenarios: windows scaled down 1200 times")
    assert cli.run(["alerts", "--prometheus"]) == 0
    exported = capsys.readouterr().out
    assert exported == rules(list(ALERTS.values()))
    for name in ALERTS:
        assert f"\n{name} (" in listed
        assert f"- alert: {name}\n" in exported
