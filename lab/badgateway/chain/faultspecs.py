"""Fault specs as people give them to the lab, checked before anything is touched."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import did_you_mean, path_text
from badgateway.inputs.validation import findings
from badgateway.processes.supervisor import State
from badgateway_proxy import parse_duration
from badgateway_upstream import FAULTS, FaultSpec

DEFAULT_DURATION: Final = 60.0
"""Seconds that a fault lasts if it does not say; an instance's own default is the same."""


@dataclass(frozen=True, slots=True)
class HopFault:
    """A fault that the supervisor does to a hop: the signal it sends, and the state that this brings about."""

    signal: signal.Signals
    becomes: State


HOP_FAULTS: Final[Mapping[str, HopFault]] = MappingProxyType(
    {
        "crash": HopFault(signal.SIGKILL, State.EXITED),
        "exit": HopFault(signal.SIGTERM, State.EXITED),
        "freeze": HopFault(signal.SIGSTOP, State.FROZEN),
    }
)


@dataclass(frozen=True, slots=True)
class CheckedFault:
    """A spec that is right. `given` is what the user wrote, as data; `lasts` is in seconds."""

    given: dict[str, Any]
    kind: str
    category: str
    lasts: float
    id: str | None
    on_hop: HopFault | None = None
    spec: FaultSpec | None = None

    def strikes_at_once(self, instance: str) -> bool:
        """Whether it happens to an instance's process without waiting for a request."""
        if self.spec is None or self.category != "process":
            return False
        return self.spec.when.at_once and self.spec.when.instance in (None, instance)

    def refuse_nobody(self, names: Sequence[str]) -> None:
        """Refuse a fault for one instance only that is not among those it is aimed at, so that it could never fire.

        Raises:
            InvalidRequest: which names are right.
        """
        wanted = None if self.spec is None else self.spec.when.instance
        if wanted is not None and wanted not in names:
            raise InvalidRequest(f'when.instance: the target has no instance "{wanted}"; {did_you_mean(wanted, names)}')

    def respawn(self) -> Mapping[str, Any] | None:
        """What to start a killed instance with again while the fault lasts; None: it stays dead."""
        return None if self.spec is None else FAULTS[self.kind].respawn(self.spec)


def for_instance(given: Mapping[str, Any]) -> CheckedFault:
    """Check the spec of a fault on an instance.

    Raises:
        InvalidRequest: every mistake in it, one a line.
    """
    try:
        spec = FaultSpec.model_validate(dict(given))
    except ValidationError as error:
        lines = []
        kind = given.get("kind")
        model = FAULTS[kind].attributes if isinstance(kind, str) and kind in FAULTS else FaultSpec
        for found in findings(error, given, model):
            start = f"{path_text(found.where)}: " if found.where else ""
            lines.append(f"{start}{found.what}" + (f"; {found.hint}" if found.hint else ""))
        raise InvalidRequest("\n".join(lines)) from None
    lasts = DEFAULT_DURATION if spec.for_ is None else spec.for_
    return CheckedFault(dict(given), spec.kind, FAULTS[spec.kind].category, lasts, spec.id, spec=spec)


def for_hop(hop: str, given: Mapping[str, Any]) -> CheckedFault:
    """Check the spec of a fault on a hop: only its process fails, always at once.

    Raises:
        InvalidRequest: every mistake in it, one a line.
    """
    wrong = []
    kind = given.get("kind")
    known = ", ".join(HOP_FAULTS)
    if not isinstance(kind, str):
        wrong.append("kind: is required: the name of a fault")
    elif kind in FAULTS and kind not in HOP_FAULTS:
        wrong.append(f'kind: "{kind}" happens in an instance, so aim it at app; {hop} can {known}')
    elif kind not in HOP_FAULTS:
        hint = did_you_mean(kind, HOP_FAULTS) or f"{hop} can {known}"
        wrong.append(f'kind: unknown fault "{kind}"; {hint}')
    wrong += [f"{key}: unknown key for a fault of a hop" for key in given if key not in ("kind", "id", "for")]
    lasts = DEFAULT_DURATION
    try:
        lasts = parse_duration(given.get("for", "1m"))
    except ValueError as error:
        wrong.append(f"for: {error}")
    id_ = given.get("id")
    if id_ is not None and not isinstance(id_, str):
        wrong.append("id: must be text")
    if wrong or not isinstance(kind, str):
        raise InvalidRequest("\n".join(wrong))
    return CheckedFault(dict(given), kind, "process", lasts, id_ if isinstance(id_, str) else None, HOP_FAULTS[kind])
