"""Which requests of a load are worth a look: of each kind of answer one, rather than thousands of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from badgateway.running.labview import LabLike
from badgateway.running.observations import Observation
from badgateway.running.results import Example

MOST: Final = 8


def worth_a_look(observations: Sequence[Observation], most: int = MOST) -> list[Observation]:
    """Of each kind of answer (who decided what, and why) the slowest; the rarest kinds first, at most `most`.

    Requests that never reached the chain are left out.
    """
    kinds: dict[tuple[object, ...], list[Observation]] = {}
    for seen in observations:
        if seen.request_id and seen.failure not in ("refused", "overflow"):
            kind = (seen.status, seen.decided_by, seen.error, seen.failure, seen.truncated)
            kinds.setdefault(kind, []).append(seen)
    rarest = sorted(kinds.values(), key=len)[:most]
    return sorted((max(kind, key=lambda seen: seen.latency) for kind in rarest), key=lambda seen: seen.intended)


async def examples(observations: Sequence[Observation], lab: LabLike) -> list[Example]:
    """Those worth a look, with their traces; without those whose records the hops have forgotten."""
    found = []
    for seen in worth_a_look(observations):
        traces = await lab.exchanges(request_id=seen.request_id)
        if traces:
            found.append(Example(seen, traces[-1]))
    return found
