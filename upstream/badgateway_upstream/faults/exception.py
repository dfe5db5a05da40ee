"""The app's code raises: a bug, and an honest 500 of the app's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, Handling, register


class BugError(Exception):
    """The exception that a request runs into."""


class UnhandledException(FaultSpec):
    """Attributes of `exception`."""

    kind: Literal["exception"] = "exception"
    message: str = Field(default="unsupported operand type(s) for +: 'int' and 'NoneType'", max_length=1000)
    """What the exception says in the log; clients never see it."""


def _raise(spec: UnhandledException, handling: Handling) -> None:
    del handling
    raise BugError(spec.message)


register(
    FaultType(
        name="exception",
        category="app",
        summary="Raises an exception in the app's handler: a 500, with the stack trace in the log only.",
        provokes=None,
        attributes=UnhandledException,
        effect=Break(_raise),
    )
)
