import json
from collections.abc import AsyncIterator

import pytest

from badgateway.chain.events import Event
from badgateway.control.statefile import LabState
from badgateway.session.announcing import AsJson, AsText, Ready
from tests.support.tracerecords import CHAIN

READY = Ready(
    "http://127.0.0.1:1", {"cdn": "http://127.0.0.1:1"}, CHAIN, LabState("http://127.0.0.1:5", "secret", 7, 0.0)
)


async def events() -> AsyncIterator[Event]:
    yield Event("process", "lb", {"pid": 3, "state": "exited", "exit": "was killed by SIGKILL"}, 5.0)


async def test_programs_read_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    AsJson().announce(READY)
    await AsJson().narrate(events())
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"event": "ready", **READY.to_json()}
    assert (first["url"], first["control"], first["token"], first["pid"]) == (
        "http://127.0.0.1:1",
        "http://127.0.0.1:5",
        "secret",
        7,
    )
    data = {"pid": 3, "state": "exited", "exit": "was killed by SIGKILL"}
    assert second == {"event": "process", "node": "lb", "time": 5.0, "data": data}


async def test_people_read_lines(capsys: pytest.CaptureFixture[str]) -> None:
    AsText().announce(READY)
    await AsText().narrate(events())
    told = capsys.readouterr().out.splitlines()
    assert "control  http://127.0.0.1:5  token secret" in told
    assert told[-2] == "ready"
    assert told[-1].endswith("lb     process 3 exited")
