"""Every scenario file is a test: it holds in a chain of its own, and it fails when what it is about is taken out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from badgateway.chain.lab import Lab
from badgateway.processes.forkserver import ForkServer
from badgateway.running.labview import LabFactory
from badgateway.running.runner import run_many
from badgateway.scenario import catalogue
from badgateway.scenario.causes import counterparts
from badgateway.scenario.model import load_scenario
from tests.support.clitools import Cli
from tests.support.processes import left_of

# One event loop for the module, because a fork server belongs to one; under xdist each worker has its own.
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FILES = catalogue.files(catalogue.root())
LONGEST = 10.0
"""Seconds that one scenario may take."""
AT_ONCE = 6
"""How many variants of one scenario run together: they mostly wait."""

by_file = pytest.mark.parametrize("path", FILES, ids=map(catalogue.id_of, FILES))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def start_lab() -> AsyncIterator[LabFactory]:
    forkserver = ForkServer.launch()
    try:
        yield functools.partial(Lab.start, forkserver=forkserver)
    finally:
        await forkserver.close()
    assert left_of(forkserver.run_id) == []


@by_file
async def test_a_scenario_holds_and_fails_without_its_cause_and_without_any_part_of_it(
    path: Path, start_lab: LabFactory
) -> None:
    """As files they would exit with 0 and, each without a cause, with 1: because an expectation did not hold."""
    scenario = load_scenario(path)
    whole, *lacking = await run_many([scenario, *counterparts(scenario)], start_lab, jobs=AT_ONCE)
    assert whole.failures() == []
    assert whole.exit_code == 0
    assert whole.duration < LONGEST
    assert [failure for result in lacking for failure in result.failures()] == []
    for result in lacking:
        # not the machine's fault, nor a deadline's
        assert result.held
        assert result.unmet


HOLDS_ANYHOW = """\
title: Expects nothing of its fault
code: 200
steps:
  - {fault: latency, target: app, latency: 1ms}
  - request: GET /products
    expect: {status: 200}
"""


async def test_the_command_line_finds_a_scenario_that_holds_without_its_cause(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    file = tmp_path / "anyhow.yaml"
    file.write_text(HOLDS_ANYHOW, encoding="utf-8")
    code, run = await asyncio.to_thread(cli.run, "run", str(file), "app-crashed", "--without-cause")
    assert code == 1, run.text
    crashed, anyhow = sorted(line for line in run.lines if "without" in line and line.startswith(("held", "FAILED")))[
        ::-1
    ]
    assert crashed.startswith("held    502/app-crashed")
    assert anyhow.startswith("FAILED  200/anyhow")
    assert "holds without its cause (fault latency at app (line 4)), so it proves nothing" in run.text
    file.write_text(HOLDS_ANYHOW.replace("  - {fault: latency, target: app, latency: 1ms}\n", ""), encoding="utf-8")
    code, run = await asyncio.to_thread(cli.run, "run", str(file), "--without-cause")
    assert code == 2, run.text
    assert "anyhow.yaml: has no cause that could be taken out; mark what makes it happen" in run.text
    assert cli.leftovers() == []
