"""Writes entries as a scenario: orders and requests as steps, the time between them as an advance of the clock.

A step is over before the next begins. So requests that were under way at once become one step with a concurrency where
they are alike, and one that outlasted an order comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from badgateway.inputs.yamltext import resolve
from badgateway.recording.entries import Asked, Order
from badgateway_proxy import format_duration

IDLE: Final = 1.0
"""Seconds without anything that are worth an `advance`; what is shorter passes by itself."""

#: What is text without quotes to every reader of YAML, also between braces, if it is no number or the like.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")

MOST_STEPS: Final = 500
"""As many as a scenario may have."""


def scenario_of(
    entries: Sequence[Order | Asked],
    outcome: Callable[[str], Mapping[str, Any]],
    *,
    fired: Collection[str],
    title: str,
    chain: Mapping[str, Any],
) -> dict[str, Any]:
    """The scenario as data.

    Args:
        entries: in any order.
        outcome: what is known of a request besides, by its id (see `Recording.outcome`).
        fired: ids of the faults that struck; of any other the scenario must not ask that it does.
        title: of the scenario.
        chain: what differs from the default chain.

    Raises:
        ValueError: there is nothing to replay, or too much for one file.
    """
    known = [replace(each, expect=_expect(each, outcome)) if isinstance(each, Asked) else each for each in entries]
    steps = list(_steps(sorted(known, key=lambda entry: entry.at), fired))
    if not any("request" in step for step in steps):
        raise ValueError("no request came while it was recorded, so there is nothing to replay")
    if len(steps) > MOST_STEPS:
        raise ValueError(f"{len(steps)} steps are more than a scenario may have ({MOST_STEPS}): record less at a time")
    worst = max((int(each.expect.get("status") or 0) for each in known if isinstance(each, Asked)), default=0)
    return {"title": title, "code": worst or 200, **({"chain": dict(chain)} if chain else {}), "steps": steps}


def _expect(asked: Asked, outcome: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    if not asked.expect:
        return {}
    found = outcome(asked.request_id)
    told = {key: found[key] for key in ("decided_by", "error", "attempts") if found.get(key)}
    if asked.expect.get("truncated"):
        told.pop("error", None)
    return {**asked.expect, **told}


def _steps(entries: Sequence[Order | Asked], fired: Collection[str]) -> Iterator[dict[str, Any]]:
    busy_until = entries[0].at if entries else 0.0
    index = 0
    while index < len(entries):
        entry = entries[index]
        idle = entry.at - busy_until
        if idle >= IDLE:
            yield {"advance": format_duration(round(idle, 1))}
        if isinstance(entry, Order):
            index += 1
            busy_until = max(busy_until, entry.at)
            yield from _order(entry.step, fired)
            continue
        alike = [entry]
        for later in entries[index + 1 :]:
            if not isinstance(later, Asked) or not later.like(entry) or later.at - alike[-1].ended >= IDLE:
                break
            alike.append(later)
        index += len(alike)
        busy_until = max(each.ended for each in alike)
        yield _request(alike)


def _order(step: Mapping[str, Any], fired: Collection[str]) -> Iterator[dict[str, Any]]:
    if "reset" in step:
        # a process that was restarted has forgotten whatever it was told
        yield {"clear": "all"}
        yield from ({"restart": name} for name in ("app", *reversed(step["reset"])))
    elif "fault" in step:
        spec = {key: value for key, value in step["fault"].items() if key != "id"}
        yield {"fault": spec if step["fault"].get("id") in fired else {**spec, "may_not_fire": True}}
    else:
        yield dict(step)


def _request(alike: Sequence[Asked]) -> dict[str, Any]:
    first = alike[0]
    request: dict[str, Any] = {"method": first.method, "path": first.path}
    if first.headers:
        request["headers"] = dict(first.headers)
    if first.body is not None:
        request["body"] = first.body
    if len(alike) > 1:
        request["times"] = len(alike)
        at_once = max(sum(other.at <= each.at < other.ended for other in alike) for each in alike)
        if at_once > 1:
            request["concurrency"] = at_once
    short = set(request) == {"method", "path"}
    step: dict[str, Any] = {"request": f"{first.method} {first.path}" if short else request}
    return {**step, "expect": dict(first.expect)} if first.expect else step


def left_out(entries: Sequence[Order | Asked]) -> list[str]:
    """What requests had that is not in the file, by name: fields that may be secrets, bodies that were not kept."""
    return sorted({name for each in entries if isinstance(each, Asked) for name in each.left_out})


def yaml_of(scenario: Mapping[str, Any], comments: Sequence[str]) -> str:
    """The scenario as YAML, each step's parts on a line, below `comments`."""
    writer = YAML()
    writer.width = 1 << 20  # never fold: ruamel.yaml folds a backslash before a space into another text
    writer.default_flow_style = False
    writer.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    writer.dump(_shaped(scenario), out)
    return "".join(f"# {line}\n" for line in comments) + out.getvalue()


def _shaped(scenario: Mapping[str, Any]) -> CommentedMap:
    """With the steps as blocks, and what is in them in braces, as people write them."""
    shaped = CommentedMap(scenario)
    shaped["title"] = _braces(scenario["title"])
    if "chain" in scenario:
        shaped["chain"] = CommentedMap({tier: _braces(settings) for tier, settings in scenario["chain"].items()})
    shaped["steps"] = CommentedSeq(
        CommentedMap({key: _braces(value) for key, value in step.items()}) for step in scenario["steps"]
    )
    return shaped


def _braces(value: Any) -> Any:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and resolve(value) == value else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        flow = CommentedMap({_braces(key): _braces(each) for key, each in value.items()})
        flow.fa.set_flow_style()
        return flow
    if isinstance(value, list | tuple):
        items = CommentedSeq(map(_braces, value))
        items.fa.set_flow_style()
        return items
    return value
