"""The board counts firings, keeps proofs, and knows when a fault is over."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.faultboard import OVER_KEPT, FaultBoard, FaultState
from badgateway.chain.labclock import LabClock
from badgateway.processes.forkserver import Exit
from badgateway.processes.supervisor import ProcessChange, State


class Moment:
    """A monotonic clock that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def board(moment: Moment) -> FaultBoard:
    return FaultBoard(LabClock(moment))


def add(board: FaultBoard, *nodes: str, kind: str = "crash", category: str = "process", **more: Any) -> FaultState:
    lasts = more.pop("lasts", 60.0)
    spec = {"kind": kind, **more}
    return board.add(board.new_id(None), "app", nodes or ("app-1",), spec, category=category, lasts=lasts)


def fire(board: FaultBoard, fault: FaultState, node: str, n: int = 1, time: float = 1.0, **more: Any) -> None:
    firing = f"{fault.id}.{n}"
    board.firing(node, {"fault": fault.id, "firing": firing, "n": n, "time": time, "instance": node, **more})


def died(name: str, number: int = signal.SIGKILL) -> ProcessChange:
    return ProcessChange(name, 77, State.RUNNING, State.EXITED, Exit(signal=number))


def test_firings_are_counted_per_node_and_the_last_one_is_the_proof(board: FaultBoard) -> None:
    fault = add(board, "app-1", "app-2", kind="hang", category="connection")
    assert (fault.fired, fault.proof) == (0, "")
    fire(board, fault, "app-1", 1, request_id="r1")
    fire(board, fault, "app-1", 2, request_id="r2")
    fire(board, fault, "app-2", 1, peer="127.0.0.1:9")
    assert fault.fired == 3
    assert fault.proof == "firing f-1.2 on app-1 struck r2; firing f-1.1 on app-2 struck 127.0.0.1:9"
    assert [firing["n"] for firing in fault.firings] == [1, 2, 1]


def test_firings_of_faults_that_are_not_ours_are_nothing(board: FaultBoard) -> None:
    assert board.firing("app-1", {"fault": "configured", "firing": "x", "n": 1, "time": 1.0}) is None


def test_a_death_is_the_proof_of_the_process_fault_that_fired_last(board: FaultBoard) -> None:
    first, last, other = add(board), add(board), add(board, kind="hang", category="connection")
    fire(board, first, "app-1", time=1.0)
    fire(board, last, "app-1", time=2.0)
    fire(board, other, "app-1", time=3.0)
    assert board.process_changed(died("app-1")) is last
    assert last.proof == "app-1 (pid 77) was killed by SIGKILL"
    assert "SIGKILL" not in first.proof + other.proof


def test_a_death_that_no_fault_fired_for_proves_nothing(board: FaultBoard) -> None:
    fault = add(board)
    assert board.process_changed(died("app-1")) is None
    assert fault.proof == ""


def test_what_a_process_tells_is_proof_until_the_kernel_tells_more(board: FaultBoard) -> None:
    fault = add(board)
    fire(board, fault, "app-1")
    board.evidence("app-1", {"fault": fault.id, "evidence": "open() says EMFILE", "happened": True})
    assert fault.proof == "app-1: open() says EMFILE"
    assert fault.to_json()["parts"][0]["evidence"] == "open() says EMFILE"
    assert not fault.parts["app-1"].impossible
    board.process_changed(died("app-1"))
    assert fault.proof == "app-1 (pid 77) was killed by SIGKILL"


def test_a_fault_that_cannot_happen_says_why(board: FaultBoard) -> None:
    fault = add(board)
    board.evidence("app-1", {"fault": fault.id, "evidence": "did not happen: there is no database", "happened": False})
    board.evidence("app-1", {"fault": "configured", "evidence": "of nobody's", "happened": True})
    assert fault.parts["app-1"].impossible == "app-1: did not happen: there is no database"


def test_a_stop_is_proof_too(board: FaultBoard) -> None:
    fault = add(board, kind="freeze")
    fire(board, fault, "app-1")
    board.process_changed(ProcessChange("app-1", 77, State.RUNNING, State.FROZEN))
    assert fault.proof == "app-1 (pid 77) was seen stopped by SIGSTOP"


def test_it_is_over_when_it_is_over_on_every_node(board: FaultBoard) -> None:
    fault = add(board, "app-1", "app-2")
    board.end(fault, "restarted", node="app-1")
    assert board.all(ended=False) == [fault]
    assert [f.id for f, _ in board.on("app-1")] == []
    assert [f.id for f, _ in board.on("app-2")] == [fault.id]
    board.end(fault, "cleared")
    assert not fault.active
    assert [part.over for part in fault.parts.values()] == ["restarted", "cleared"]
    assert board.all(ended=False) == []
    assert board.all(ended=True) == [fault]


def test_it_expires_by_the_labs_clock(board: FaultBoard, moment: Moment) -> None:
    short, long = add(board, lasts=10.0), add(board, lasts=20.0)
    assert board.next_expiry() == 10.0
    moment.seconds = 12.0
    assert board.due() == [short]
    assert long.expires_in == 8.0
    board.end(short, "expired")
    assert board.due() == []
    assert board.next_expiry() == 20.0
    assert short.expires_in == 0.0


def test_ids_are_new_or_refused(board: FaultBoard) -> None:
    fault = add(board)
    assert fault.id == "f-1"
    assert board.new_id("mine") == "mine"
    with pytest.raises(InvalidRequest, match='id "f-1" already'):
        board.new_id("f-1")
    board.end(fault, "cleared")
    assert board.new_id("f-1") == "f-1"
    with pytest.raises(InvalidRequest, match=r'no fault has the id "f_1"; did you mean "f-1"'):
        board.get("f_1")


def test_only_so_many_that_are_over_are_remembered(board: FaultBoard) -> None:
    kept = add(board)
    for _ in range(OVER_KEPT + 10):
        board.end(add(board), "cleared")
    add(board)
    assert len(board.all(ended=True)) == OVER_KEPT + 2
    assert kept in board.all(ended=True)


def test_a_fault_is_plain_data(board: FaultBoard) -> None:
    fault = add(board, kind="latency", category="flow", latency="300ms", when={"path": "/x"}, **{"for": "10s"})
    data = fault.to_json()
    assert data["attributes"] == {"latency": "300ms"}
    assert data["when"] == {"path": "/x"}
    assert data["parts"] == [{"node": "app-1", "fired": 0, "proof": "", "over": ""}]
