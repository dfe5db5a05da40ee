"""Which session a request to the control API speaks for, and what it may set."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from badgateway.control.guard import ApiError
from badgateway.control.sessions import fault_of, of_all, session_of

HOPS = ["cdn", "lb"]


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ([], None),
        ([("X-Badgateway-Session", "alice")], "alice"),
        ([("baggage", "badgateway-session=alice")], "alice"),
        ([("baggage", "a=b"), ("baggage", "c=d,badgateway-session=alice;p")], "alice"),
        ([("baggage", "a=badgateway-session=alice")], None),
        ([("X-Badgateway-Session", "alice"), ("baggage", "badgateway-session=bob")], "alice"),
    ],
)
def test_the_session_is_named_by_a_header(fields: list[tuple[str, str]], session: str | None) -> None:
    assert session_of(make_mocked_request("GET", "/api/faults", headers=CIMultiDict(fields))) == session


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a/b"])
def test_what_is_no_name_is_refused_rather_than_taken_for_everybody(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        session_of(make_mocked_request("GET", "/", headers={"X-Badgateway-Session": name}))
    assert refused.value.status == 400


def test_what_all_share_is_for_whoever_runs_the_lab() -> None:
    of_all(make_mocked_request("POST", "/api/reset"), "a reset")
    with pytest.raises(ApiError, match="a reset would change the chain for everybody"):
        of_all(make_mocked_request("POST", "/api/reset", headers={"X-Badgateway-Session": "alice"}), "a reset")


def test_a_fault_keeps_its_conditions_and_gets_the_session() -> None:
    spec = {"kind": "hang", "when": {"path": "/orders"}}
    assert fault_of("alice", HOPS, "app", spec) == {"kind": "hang", "when": {"path": "/orders", "session": "alice"}}
    assert spec == {"kind": "hang", "when": {"path": "/orders"}}
    assert fault_of("alice", HOPS, "app", {"kind": "hang"})["when"] == {"session": "alice"}


@pytest.mark.parametrize(
    ("target", "spec"),
    [("lb", {"kind": "freeze"}), ("app", {"kind": "crash"}), ("app-1", {"kind": "exit", "when": {"path": "/x"}})],
)
def test_a_fault_of_a_process_would_meet_everybody(target: str, spec: dict[str, object]) -> None:
    with pytest.raises(ApiError, match="a process that all sessions share"):
        fault_of("alice", HOPS, target, spec)


def test_a_fault_that_reads_no_request_cannot_tell_sessions_apart() -> None:
    with pytest.raises(ApiError, match="before any request is read, so it would meet every session"):
        fault_of("alice", HOPS, "app", {"kind": "reset_on_accept"})


def test_what_is_wrong_is_left_for_the_lab_to_say() -> None:
    for wrong in ({}, {"kind": "hangg"}, {"kind": 3}, {"kind": "hang", "when": "always"}):
        assert fault_of("alice", HOPS, "app", wrong)["kind" if "kind" in wrong else "when"] is not None
