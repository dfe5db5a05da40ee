from collections.abc import Iterator

import pytest

from badgateway.testing.pool import KEPT, Pool
from badgateway.testing.starting import LabProcess, Wish
from tests.support.asking import status_of


class StandIn:
    """A lab process that is none; its control API may be broken."""

    started: list["StandIn"] = []  # noqa: RUF012  (filled by `start`, emptied by the fixture)

    def __init__(self, wish: Wish) -> None:
        self.wish, self.control, self.closed, self.resets, self.broken = wish, self, False, 0, False
        self.started.append(self)

    @classmethod
    def start(cls, wish: Wish) -> "StandIn":
        return cls(wish)

    def chain(self) -> dict[str, object]:
        return {"url": "http://127.0.0.1:1", "nodes": []}

    def reset(self) -> None:
        from badgateway.chain.errors import EnvironmentProblem

        self.resets += 1
        if self.broken:
            raise EnvironmentProblem("gone")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[StandIn]]:
    monkeypatch.setattr(LabProcess, "start", StandIn.start)
    yield StandIn.started
    StandIn.started.clear()


def test_a_lab_is_kept_and_reset_for_the_next(started: list[StandIn]) -> None:
    pool = Pool()
    pool.common().give_back()
    pool.common().give_back()
    assert [lab.resets for lab in started] == [1]
    pool.close()
    assert [lab.closed for lab in started] == [True]


def test_two_at_once_are_two(started: list[StandIn]) -> None:
    pool = Pool()
    loans = [pool.own(Wish()), pool.own(Wish())]
    assert len(started) == 2
    for loan in loans:
        loan.give_back()
    pool.close()


def test_another_wish_is_another_lab_and_few_wait(started: list[StandIn]) -> None:
    pool = Pool()
    for instances in range(1, KEPT + 3):
        pool.own(Wish(instances=instances)).give_back()
    assert [lab.closed for lab in started] == [True, True] + [False] * KEPT
    pool.close()
    assert all(lab.closed for lab in started)


def test_one_that_a_test_broke_for_good_is_replaced(started: list[StandIn]) -> None:
    pool = Pool()
    pool.common().give_back()
    started[0].broken = True
    pool.common().give_back()
    assert [lab.closed for lab in started] == [True, False]
    pool.close()


def test_sessions_of_a_shared_lab_do_not_see_each_other() -> None:
    process = LabProcess.start(Wish(instances=1))
    try:
        pool = Pool(process.control)
        alice, bob = pool.common(), pool.common()
        assert alice.lab.url == bob.lab.url
        assert alice.lab.session_headers != bob.lab.session_headers
        fault = alice.lab.fault("app", "reset_before_response")
        assert [status_of(alice.lab), status_of(bob.lab)] == [502, 200]
        assert [exchange.status for exchange in alice.lab.exchanges()] == [502]
        assert [exchange.status for exchange in bob.lab.exchanges()] == [200]
        assert alice.lab.exchanges()[0].app
        bob.give_back()
        assert status_of(alice.lab) == 502
        alice.give_back()
        assert status_of(alice.lab) == 200
        assert fault.fired == 2
        pool.close()
        assert process.alive
    finally:
        process.close()
