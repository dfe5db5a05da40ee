"""Events on stdout, logs on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys

import pytest

from badgateway_upstream.events import EventWriter, JsonFormatter


def test_an_event_is_one_line() -> None:
    reading, writing = os.pipe()
    EventWriter(writing).write({"event": "x", "text": "a\nb"})
    assert os.read(reading, 1000) == b'{"event":"x","text":"a\\nb"}\n'
    os.close(reading)
    os.close(writing)


def test_a_reader_that_does_not_read_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    EventWriter(writing).write({"event": "lost"})
    assert "dropped an event" in caplog.text
    os.close(reading)
    EventWriter(writing).write({"event": "lost"})
    assert "cannot write events" in caplog.text
    os.close(writing)


def test_a_log_line_is_json() -> None:
    try:
        dict[str, int]()["x"]
    except KeyError:
        record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info())
    record.request_id = "r1"
    line = json.loads(JsonFormatter("app-1").format(record))
    assert (line["message"], line["level"], line["request_id"], line["instance"]) == (
        "it broke",
        "error",
        "r1",
        "app-1",
    )
    assert "KeyError" in line["traceback"]
    assert line["time"].endswith("+00:00")
