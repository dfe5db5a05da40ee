import json
import multiprocessing
import os
from pathlib import Path

import pytest

from badgateway import testing
from badgateway.chain.errors import EnvironmentProblem
from badgateway.testing.starting import LabProcess, Wish
from tests.support.asking import status_of
from tests.support.processes import left_of, wait_until

MARK = "BADGATEWAY_STARTING_TEST"


@pytest.fixture
def run_id(monkeypatch: pytest.MonkeyPatch) -> str:
    """Every process that is started from here on has this in its environment."""
    monkeypatch.setenv(MARK, value := f"{os.getpid()}-{id(monkeypatch)}")
    return value


def test_wishes_are_told_apart_and_become_options(tmp_path: Path) -> None:
    one, other = Wish({"lb": {"retry": {"attempts": 2}}}), Wish({"lb": {"retry": {"attempts": 3}}})
    assert one.key != other.key
    assert Wish().key == Wish().key
    assert one.options(tmp_path) == [f"--chain={tmp_path / 'chain.yaml'}"]
    assert json.loads((tmp_path / "chain.yaml").read_text()) == {"lb": {"retry": {"attempts": 2}}}
    told = Wish(scenario="504/app-hangs", backend="http://127.0.0.1:3000", instances=1, allow_public=True)
    assert told.options(tmp_path) == [
        "--scenario=504/app-hangs",
        "--backend=http://127.0.0.1:3000",
        "--instances=1",
        "--allow-public",
    ]


def test_a_lab_lasts_for_its_block_and_leaves_nothing(run_id: str) -> None:
    with testing.running({"app": {"instances": 1}}) as lab:
        assert status_of(lab) == 200
        lab.fault("app", "freeze")
        assert left_of(run_id, MARK)
    assert left_of(run_id, MARK) == []


def test_a_child_that_forked_does_not_keep_the_lab_alive(run_id: str) -> None:
    process = LabProcess.start(Wish(instances=1))
    sleeper = multiprocessing.get_context("fork").Process(target=_sleep)
    sleeper.start()
    try:
        assert process._process.stdin is not None
        process._process.stdin.close()  # as the kernel does for one that was killed
        wait_until(lambda: not process.alive, what="the lab to end")
        assert sleeper.is_alive()
    finally:
        sleeper.kill()
        sleeper.join()
        process.close()
    assert left_of(run_id, MARK) == []


def _sleep() -> None:
    while True:
        multiprocessing.Event().wait(60)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish({"lb": {"retries": 3}}), r"chain\.yaml:1:9: lb\.retries: unknown"),
        (Wish(scenario="504/app-hans"), r"no scenario or file '504/app-hans'; did you mean"),
        (Wish(backend="http://192.0.2.1:bad"), "backend"),
    ],
)
def test_a_lab_that_cannot_be_says_why(wish: Wish, words: str, run_id: str) -> None:
    with pytest.raises(EnvironmentProblem, match=words):
        LabProcess.start(wish)
    assert left_of(run_id, MARK) == []
