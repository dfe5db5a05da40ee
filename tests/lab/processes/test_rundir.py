"""A run's directory is private, tells the end of a log, and goes away."""

from __future__ import annotations

from badgateway.processes.rundir import TAIL_LINES, RunDir


def test_it_is_private_and_goes_away_with_all_in_it() -> None:
    rundir = RunDir()
    assert rundir.path.stat().st_mode & 0o777 == 0o700
    rundir.database.write_text("x")
    rundir.log("lb").write_text("x")
    assert rundir.remove()
    assert rundir.remove()
    assert not rundir.path.exists()


def test_the_tail_of_a_log_is_its_last_lines() -> None:
    rundir = RunDir()
    try:
        assert rundir.log_tail("lb") == ""
        rundir.log("lb").write_bytes(b"x" * 100_000 + b"\n" + b"".join(b"line %d \xff\n" % n for n in range(20)))
        assert rundir.log_tail("lb").splitlines()[-1] == "line 19 �"
        assert len(rundir.log_tail("lb").splitlines()) == TAIL_LINES
    finally:
        rundir.remove()
