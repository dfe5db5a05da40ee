"""A wire script that a user wrote."""

from __future__ import annotations

from typing import Any, Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.steps import Steps


class UserScript(FaultSpec):
    """Attributes of `script`."""

    kind: Literal["script"] = "script"
    steps: Steps
    """What to do instead of answering, step by step."""


def _steps(spec: UserScript) -> list[Any]:
    return list(spec.steps)


register(
    FaultType(
        name="script",
        category="user",
        summary="Plays the wire script given with it instead of answering.",
        provokes=None,
        attributes=UserScript,
        effect=Script(_steps),
    )
)
