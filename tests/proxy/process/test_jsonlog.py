from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from badgateway_proxy.process import jsonlog

LOG = logging.getLogger("badgateway_proxy.tested")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    made = io.StringIO()
    jsonlog.configure(made)
    yield made
    root.handlers = handlers
    root.setLevel(level)


def only(stream: io.StringIO) -> dict[str, Any]:
    (text,) = stream.getvalue().splitlines()
    entry: dict[str, Any] = json.loads(text)
    return entry


def test_one_object_a_line(stream: io.StringIO) -> None:
    LOG.warning("%d\nlines", 2, extra={"request_id": "r-1", "odd": object})
    entry = only(stream)
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "badgateway_proxy.tested", "2\nlines")
    assert entry["request_id"] == "r-1"
    assert entry["odd"] == repr(object)
    assert datetime.fromisoformat(entry["time"]).tzinfo is not None
    assert set(entry) == {"time", "level", "logger", "message", "request_id", "odd"}


def test_an_exception_goes_with_its_trace(stream: io.StringIO) -> None:
    try:
        int("none")
    except ValueError:
        LOG.exception("failed", stack_info=True)
    entry = only(stream)
    assert "ValueError: invalid literal" in entry["exception"]
    assert "stack" in entry


def test_debug_is_left_out(stream: io.StringIO) -> None:
    LOG.debug("chatter")
    assert stream.getvalue() == ""
