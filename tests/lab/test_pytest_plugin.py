"""The plugin as other people's test runs have it: pytest in a process of its own, on test files of theirs."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.processes import left_of, wait_until

pytestmark = pytest.mark.slow
MARK = "BADGATEWAY_PLUGIN_TEST"
GET = """
import urllib.error, urllib.request
import pytest

def get(lab, path="/products"):
    request = urllib.request.Request(lab.url + path, headers=lab.session_headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
"""


class Theirs:
    """A directory of somebody else's tests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run_id = f"{os.getpid()}-{directory.name}"
        (directory / "pytest.ini").write_text(
            "[pytest]\naddopts = -p no:cacheprovider -p no:aiohttp -p no:asyncio -p no:schemathesis --strict-markers\n"
        )

    def write(self, tests: str, name: str = "test_theirs.py") -> None:
        (self.directory / name).write_text(GET + textwrap.dedent(tests))

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-v", *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return subprocess.Popen(
            command,
            cwd=self.directory,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environment, MARK: self.run_id, "NO_COLOR": "1"},
            start_new_session=True,
        )

    def run(self, *options: str) -> str:
        process = self.start(*options)
        told, _ = process.communicate(timeout=90)
        return told

    def leftovers(self) -> list[str]:
        return left_of(self.run_id, MARK)


@pytest.fixture
def theirs(tmp_path: Path) -> Theirs:
    return Theirs(tmp_path)


def test_importing_it_is_cheap_and_loads_neither_aiohttp_nor_pydantic() -> None:
    script = (
        "import pytest, pathlib, sys, time; before = set(sys.modules); start = time.process_time();"
        "import badgateway.pytest_plugin; print((time.process_time() - start) * 1000);"
        "print(*sorted(set(sys.modules) - before))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    took, loaded = min(float(run.stdout.split()[0]) for run in runs), runs[0].stdout.splitlines()[1].split()
    assert loaded == ["badgateway", "badgateway.pytest_plugin"]
    assert took < 20


def test_a_test_run_loads_neither_while_no_test_uses_a_lab(theirs: Theirs) -> None:
    theirs.write("""
        import sys

        def test_nothing():
            assert not {"aiohttp", "pydantic", "badgateway.testing", "rich"} & sys.modules.keys()
    """)
    # plugins of ours that load aiohttp themselves
    assert "1 passed" in theirs.run("-p", "no:hypothesispytest")


def test_each_test_has_a_lab_as_new_and_one_that_fails_says_what_the_lab_saw(theirs: Theirs) -> None:
    (theirs.directory / "scenario.yaml").write_text(
        "title: Theirs\ncode: 502\nchain: {app: {instances: 1}}\n"
        "steps:\n  - fault: {target: app, kind: garbage}\n  - request: GET /\n    expect: {status: 502}\n"
    )
    theirs.write("""
        urls = set()

        def test_breaks_everything(badgateway):
            urls.add(badgateway.url)
            badgateway.process("app").stop()
            badgateway.hop("lb").patch(timeouts={"first_byte": "150ms"})
            badgateway.fault("lb", "freeze", may_not_fire=True)

        def test_finds_it_as_new(badgateway):
            urls.add(badgateway.url)
            assert len(urls) == 1
            assert get(badgateway) == 200
            assert len(badgateway.exchanges()) == 1
            assert badgateway.hop("lb").config["timeouts"]["first_byte"] != "150ms"

        def test_is_told_why(badgateway):
            badgateway.fault("app", "garbage")
            assert get(badgateway) == 200

        def test_of_a_fault_that_never_fired(badgateway):
            badgateway.fault("app", "hang", path="/other")
            assert get(badgateway) == 200

        def test_of_one_that_need_not_fire(badgateway):
            badgateway.fault("app", "hang", path="/other", may_not_fire=True)
            assert get(badgateway) == 200

        @pytest.mark.badgateway("scenario.yaml")
        def test_a_scenario_of_theirs(badgateway):
            assert badgateway.urls.keys() == {"cdn", "lb", "app-1"}
            assert get(badgateway) == 502

        @pytest.mark.badgateway("scenario.yaml")
        def test_the_same_once_more(badgateway):
            assert get(badgateway) == 502

        @pytest.mark.badgateway("scenario.yaml")
        def test_the_same_without_asking(badgateway):
            pass

        @pytest.mark.badgateway("scenario.yaml", may_not_fire=True)
        def test_the_same_on_purpose(badgateway):
            pass

        @pytest.mark.badgateway("502/app-krashed")
        def test_of_no_scenario(badgateway):
            pass

        def test_chains_of_their_own(make_badgateway):
            one, other = make_badgateway(instances=1), make_badgateway({"lb": {"retry": {"attempts": 2}}})
            assert one.urls.keys() == {"cdn", "lb", "app-1"}
            assert other.hop("lb").config["retry"]["attempts"] == 2
            one.fault("app", "garbage")
            assert [get(one), get(other)] == [502, 200]

        def test_skipped(badgateway):
            pytest.skip("not today")

        @pytest.fixture
        def client(badgateway):
            badgateway.fault("app", "truncate")
            assert get(badgateway) == 502

        def test_of_a_fixture_that_failed(client):
            pass
    """)
    told = theirs.run()
    outcomes = dict(re.findall(r"^test_theirs\.py::(\w+) (\w+)", told, re.MULTILINE))
    assert outcomes == {
        "test_breaks_everything": "PASSED",
        "test_finds_it_as_new": "PASSED",
        "test_is_told_why": "FAILED",
        "test_of_a_fault_that_never_fired": "FAILED",
        "test_of_one_that_need_not_fire": "PASSED",
        "test_a_scenario_of_theirs": "PASSED",
        "test_the_same_once_more": "PASSED",
        "test_the_same_without_asking": "FAILED",
        "test_the_same_on_purpose": "PASSED",
        "test_of_no_scenario": "ERROR",
        "test_chains_of_their_own": "PASSED",
        "test_skipped": "SKIPPED",
        "test_of_a_fixture_that_failed": "ERROR",
    }, told
    why = told.partition("test_is_told_why ___")[2].partition("test_of_a_fault_that_never_fired ___")[0]
    assert "Captured badgateway call" in why
    assert re.search(r"GET /products → 502, decided by lb: http_protocol_error, \d+ ms", why)
    assert re.search(r"lb → app-\d \|[.cswr]+\| http_protocol_error in wait", why)
    assert re.search(r"fault f-\d+ \(garbage at app\): fired 1 time", why)
    fixture = told.partition("ERROR at setup of test_of_a_fixture_that_failed ___")[2].partition("FAILURES ===")[0]
    assert "Captured badgateway setup" in fixture
    assert "(truncate at app): fired 1 time" in fixture
    assert re.search(r"never fired: f-\d+ \(hang at app\)\. .*may_not_fire=True", told)
    assert 'did you mean "502/app-crashed"' in told or "did you mean '502/app-crashed'" in told
    assert theirs.leftovers() == []


def test_a_mistake_is_told_where_it_was_made_without_our_own_code(theirs: Theirs) -> None:
    theirs.write("""
        def test_kind(badgateway):
            badgateway.fault("app", "hangg")

        def test_chain(make_badgateway):
            make_badgateway({"lb": {"retri": {}}})

        @pytest.mark.badgateway
        def test_marker_without_scenario(badgateway):
            pass

        @pytest.mark.badgateway("502/app-krashed")
        def test_marker_of_no_scenario(badgateway):
            pass

        @pytest.mark.badgateway("502/app-crashed")
        def test_marker_without_fixture():
            pass
    """)
    told = theirs.run()
    assert "2 failed, 3 errors" in told, told
    assert "test_theirs.py:15: InvalidRequest" in told
    assert "E       badgateway.chain.errors.InvalidRequest: kind: unknown fault 'hangg'; did you mean 'hang'?" in told
    assert 'chain.yaml:1:9: lb.retri: unknown key; did you mean "retry"?' in told
    assert "a marker that says something else than badgateway(scenario, may_not_fire=False)" in told
    assert "no scenario or file '502/app-krashed'; did you mean \"502/app-crashed\"?" in told
    assert "the marker badgateway is for tests that use the fixture badgateway" in told
    assert not re.search(r"badgateway/(control|testing|pytest_plugin)", told), told


def test_workers_have_labs_of_their_own_and_a_worker_that_crashes_leaves_none(theirs: Theirs) -> None:
    theirs.write("""
        import os

        @pytest.mark.parametrize("number", range(4))
        def test_crash(badgateway, number):
            badgateway.fault("app", "crash")
            assert get(badgateway) == 502

        def test_worker_dies(badgateway):
            os._exit(1)
    """)
    told = theirs.run("-n2")
    assert "4 passed" in told, told
    assert "crashed while running 'test_theirs.py::test_worker_dies'" in told
    wait_until(lambda: not theirs.leftovers(), what="the labs to end")


def test_workers_can_share_one_lab_in_sessions(theirs: Theirs) -> None:
    theirs.write("""
        import pathlib

        @pytest.mark.parametrize("number", range(8))
        def test_mine_only(badgateway, number, testrun_uid):
            pathlib.Path(f"url-{number}").write_text(badgateway.url)
            if number % 2:
                badgateway.fault("app", "reset_before_response")
            assert {get(badgateway) for _ in range(5)} == {502 if number % 2 else 200}
            assert len(badgateway.exchanges()) == 5

        def test_what_all_share(badgateway):
            with pytest.raises(Exception, match="one session of several; use a lab of your own"):
                badgateway.clock.advance(5)
    """)
    told = theirs.run("-n2", "--badgateway-shared")
    assert "9 passed" in told, told
    urls = {path.read_text() for path in theirs.directory.glob("url-*")}
    assert len(urls) == 1
    assert theirs.leftovers() == []


def test_a_run_that_is_killed_leaves_no_lab(theirs: Theirs) -> None:
    theirs.write("""
        import pathlib, time

        def test_waits(badgateway):
            badgateway.fault("app", "freeze")
            pathlib.Path("here").touch()
            time.sleep(60)
    """)
    with theirs.start() as process:
        wait_until((theirs.directory / "here").exists, what="the test to begin")
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not theirs.leftovers(), what="the lab to end")


def test_ctrl_c_ends_the_run_and_its_lab(theirs: Theirs) -> None:
    theirs.write("""
        import pathlib, time

        def test_waits(badgateway):
            pathlib.Path("here").touch()
            time.sleep(60)
    """)
    with theirs.start() as process:
        wait_until((theirs.directory / "here").exists, what="the test to begin")
        os.killpg(process.pid, signal.SIGINT)
        told, _ = process.communicate(timeout=90)
    assert "KeyboardInterrupt" in told
    assert theirs.leftovers() == []


def test_a_lab_that_runs_already_is_used_in_sessions_or_said_to_be_missing(theirs: Theirs) -> None:
    theirs.write("""
        def test_it(badgateway):
            assert badgateway.session_headers
            badgateway.fault("app", "garbage")
            assert get(badgateway) == 502
    """)
    told = theirs.run("--badgateway-control=http://127.0.0.1:9")
    assert "no token for http://127.0.0.1:9: give --token, or set BADGATEWAY_TOKEN" in told


def test_their_tests_use_the_lab_that_they_are_shown(theirs: Theirs) -> None:
    from badgateway import testing

    theirs.write("""
        def test_it(badgateway):
            badgateway.fault("app", "garbage")
            assert get(badgateway) == 502
    """)
    with testing.running(instances=1) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BADGATEWAY_TOKEN", lab.token)
        assert "1 passed" in theirs.run(f"--badgateway-control={lab.control}")
        assert [exchange.status for exchange in lab.exchanges()] == [502]
