"""The pytest plugin: a real chain CDN → LB → app for tests of clients and services, broken on purpose.

Fixtures `badgateway` and `make_badgateway`, the marker `badgateway`. Every pytest run on a machine where badgateway is
installed imports this module, so it imports nothing that takes time: no aiohttp, no pydantic.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from badgateway.control.client import ControlClient
    from badgateway.testing.lab import Lab
    from badgateway.testing.pool import Loan, MakeLab, Pool
    from badgateway.testing.starting import LabProcess

_LABS: pytest.StashKey[list[Lab]] = pytest.StashKey()
_SHARED: pytest.StashKey[LabProcess] = pytest.StashKey()

_MARKER = (
    "badgateway(scenario, may_not_fire=False): the fixture `badgateway` is a lab with this scenario's chain, and what "
    "breaks it done. `scenario` is a file (relative to the test's, or to where pytest runs) or an id: 504/app-hangs."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("badgateway")
    group.addoption(
        "--badgateway-shared",
        action="store_true",
        help="One lab for all xdist workers; each test is a session of it, whose faults meet only requests that send "
        "badgateway.session_headers.",
    )
    group.addoption(
        "--badgateway-control",
        metavar="URL",
        help="Use the lab whose control API this is, in sessions as above; its token is BADGATEWAY_TOKEN, or that of "
        "the state file of `badgateway up`.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the lab that the workers shared."""
    shared = config.stash.get(_SHARED, None)
    if shared is not None:
        del config.stash[_SHARED]
        shared.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which lab it shares with the others."""
    control = _shared(node.config)
    if control is not None:
        node.workerinput["badgateway"] = (control.url, control.token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """A marker that nothing heeds would make a test prove something else than it says."""
    marked = any(marker.name == "badgateway" for marker in item.own_markers)
    if marked and "badgateway" not in getattr(item, "fixturenames", ()):
        raise _failed("the marker badgateway is for tests that use the fixture badgateway; this one does not")
    with _explained(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test fails, too, if a fault that it set never fired."""
    with _explained(item, "call"):
        result = yield
        for lab in item.stash.get(_LABS, []):
            _must_have_fired(lab)
    return result


@contextmanager
def _explained(item: pytest.Item, when: Literal["setup", "call"]) -> Iterator[None]:
    """What fails in here says what the lab saw."""
    try:
        yield
    except (pytest.skip.Exception, pytest.exit.Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        for lab in item.stash.get(_LABS, []):
            item.add_report_section(when, "badgateway", _report(lab))
        raise


@pytest.fixture(scope="session")
def _badgateway_pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    from badgateway.testing.pool import Pool  # noqa: PLC0415  (http.client: for tests that use a lab)

    pool = Pool(_shared(request.config))
    yield pool
    pool.close()


@pytest.fixture
def badgateway(request: pytest.FixtureRequest, _badgateway_pool: Pool) -> Iterator[Lab]:
    """A lab for this test: the default chain, or that of the scenario with which the test is marked.

    Its processes are kept for the next test, which gets it as it was started.
    """
    from badgateway.chain.errors import LabError  # noqa: PLC0415  (see above)

    try:
        loan = _loan(_badgateway_pool, request.path, request.node.get_closest_marker("badgateway"))
    except LabError as error:
        raise _failed(str(error)) from None
    request.node.stash.setdefault(_LABS, []).append(loan.lab)
    yield loan.lab
    loan.give_back()


@pytest.fixture
def make_badgateway(request: pytest.FixtureRequest, _badgateway_pool: Pool) -> Iterator[MakeLab]:
    """Makes labs with chains of one's own: `make_badgateway(chain={"lb": {"retry": {"attempts": 3}}})`."""
    from badgateway.testing.starting import Wish  # noqa: PLC0415  (see above)

    loans: list[Loan] = []

    def make(chain: Any = None, **rest: Any) -> Lab:
        __tracebackhide__ = True  # what fails is shown where the test called
        loans.append(_badgateway_pool.own(Wish(chain, **rest)))
        request.node.stash.setdefault(_LABS, []).append(loans[-1].lab)
        return loans[-1].lab

    yield make
    for loan in loans:
        loan.give_back()


def _loan(pool: Pool, file: Path, marker: pytest.Mark | None) -> Loan:
    if marker is None:
        return pool.common()
    from badgateway.testing.starting import Wish  # noqa: PLC0415  (see above)

    try:
        scenario, may_not_fire = _asked(*marker.args, **marker.kwargs)
    except TypeError:
        raise _failed(f"a marker that says something else than {_MARKER}") from None
    beside = file.parent / scenario
    loan = pool.own(Wish(scenario=str(beside) if beside.is_file() else scenario))
    loan.lab.adopt_faults(may_not_fire=may_not_fire)
    return loan


def _asked(scenario: str | Path, *, may_not_fire: bool = False) -> tuple[str, bool]:
    """What the marker takes."""
    return str(scenario), may_not_fire


def _shared(config: pytest.Config) -> ControlClient | None:
    """The control API of the lab that this run shares with others; None where it has its own."""
    if not (hasattr(config, "workerinput") or config.option.badgateway_shared or config.option.badgateway_control):
        return None
    from badgateway.chain.errors import LabError  # noqa: PLC0415  (see above)
    from badgateway.control.client import ControlClient, connect  # noqa: PLC0415  (see above)
    from badgateway.testing.starting import LabProcess, Wish  # noqa: PLC0415  (see above)

    if hasattr(config, "workerinput"):
        told = config.workerinput.get("badgateway")
        return None if told is None else ControlClient(*told)
    try:
        if config.option.badgateway_control:
            return connect(config.option.badgateway_control)
        if _SHARED not in config.stash:
            config.stash[_SHARED] = LabProcess.start(Wish())
    except LabError as error:
        raise pytest.UsageError(f"badgateway: {error}") from None
    return config.stash[_SHARED].control


def _must_have_fired(lab: Lab) -> None:
    idle = ", ".join(map(str, lab.unfired()))
    if idle:
        raise _failed(
            f"never fired: {idle}. What this test saw, no fault has caused; if that is right, set it with "
            "may_not_fire=True."
        )


def _failed(message: str) -> BaseException:
    """What ends a test with a message, and without a traceback of ours."""
    return pytest.fail.Exception(message, pytrace=False)


def _report(lab: Lab) -> str:
    from badgateway.chain.errors import LabError  # noqa: PLC0415  (see above)

    try:
        return lab.report()
    except LabError as error:
        return f"the lab does not tell any more: {error}"
