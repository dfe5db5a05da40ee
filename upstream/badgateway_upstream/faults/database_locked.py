"""Another transaction holds the database's lock: whoever wants to write waits for it, up to lock_timeout."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class DatabaseLocked(FaultSpec):
    """Attributes of `database_locked`."""

    kind: Literal["database_locked"] = "database_locked"


register(
    FaultType(
        name="database_locked",
        category="process",
        summary="Begins a transaction on another connection and does not end it: orders wait, for all instances.",
        provokes=None,
        attributes=DatabaseLocked,
        effect=Process(
            lambda spec, process, seconds: process.lock_database(), lambda spec, process: process.unlock_database()
        ),
    )
)
