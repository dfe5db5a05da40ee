"""What the instance says: events as JSON lines on stdout for programs, logs as JSON lines on stderr for people."""

from __future__ import annotations

import json
import logging
import os
import select
import sys
from datetime import UTC, datetime
from typing import Any, Final

_LOG: Final = logging.getLogger("badgateway_upstream.events")
_PATIENCE_MS: Final = 200


class EventWriter:
    """Writes events to a file descriptor, complete before it returns, because the next thing may be a SIGKILL.

    A reader that reads nothing must not stop the instance: after 200 ms the event is dropped, and the log says so.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._broken = False

    def write(self, event: dict[str, Any]) -> None:
        """Write one event as one line."""
        if self._broken:
            return
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(_PATIENCE_MS):
            _LOG.warning("dropped an event: nobody reads our stdout")
            return
        try:
            os.write(self._descriptor, line)
        except OSError as error:
            self._broken = True
            _LOG.warning("cannot write events any more: %s", error)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and where they apply request_id and traceback."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "instance": self._name,
            "message": record.getMessage(),
        }
        request_id = getattr(record, "request_id", None)
        if request_id is not None:
            entry["request_id"] = request_id
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def log_to_stderr(name: str) -> None:
    """Send this process's logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(name))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
