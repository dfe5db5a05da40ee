"""Whether every name that a scenario uses (hops, instances, kinds to clear) exists in its chain.

It looks at the document as it was written, so that a wrong name is told together with whatever else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from badgateway.chain.addressing import names_in
from badgateway.chain.spec import DNS, HOPS, MAX_INSTANCES, TIERS
from badgateway.inputs.problems import Where, as_text, did_you_mean
from badgateway.inputs.validation import Finding
from badgateway.scenario.expectation import ERRORS
from badgateway.scenario.expression_parser import ExpressionError, parse_expression
from badgateway.scenario.expressions import measures
from badgateway.scenario.placement import HOP_FAULTS
from badgateway_upstream import FAULTS


def wrong_names(value: object) -> list[Finding]:
    """Every name that is none, with what was probably meant. Whatever has not the right shape is passed over."""
    if not isinstance(value, Mapping):
        return []
    chain = value.get("chain")
    names = _Names(_instances(value), dns=isinstance(chain, Mapping) and chain.get("dns") is True)
    found: list[Finding] = list(names.in_settings(("chain",), chain))
    for index, step in _mappings(value.get("steps")):
        found += names.in_step(("steps", index), step)
    for index, moment in _mappings(value.get("timeline")):
        found += names.in_step(("timeline", index), moment)
    for index, stream in _mappings(value.get("traffic")):
        found += names.entry(("traffic", index, "to"), stream.get("to"))
    for index, expected in _mappings(value.get("expect")):
        found += names.in_expression(("expect", index, "that"), expected.get("that"))
    return found


def _instances(value: Mapping[str, Any]) -> int:
    chain = value.get("chain")
    app = chain.get("app") if isinstance(chain, Mapping) else None
    count = app.get("instances", 2) if isinstance(app, Mapping) else 2
    return count if type(count) is int and 1 <= count <= MAX_INSTANCES else MAX_INSTANCES


def _mappings(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from ((i, entry) for i, entry in enumerate(value) if isinstance(entry, Mapping))


class _Names:
    def __init__(self, instances: int, *, dns: bool) -> None:
        self.instances = tuple(f"app-{n}" for n in range(1, instances + 1))
        self.targets = (*HOPS, "app", *self.instances, *((DNS,) if dns else ()))

    def in_step(self, at: Where, step: Mapping[str, Any]) -> Iterator[Finding]:
        fault = step.get("fault")
        if isinstance(fault, Mapping):
            yield from self.in_fault((*at, "fault"), fault)
        elif isinstance(fault, str):
            yield from self.in_fault(at, step)
        for key in ("restart", "stop"):
            yield from self.target((*at, key), step.get(key))
        deploy = step.get("deploy")
        if isinstance(deploy, Mapping):
            for name in deploy:
                for finding in _one_of((*at, "deploy", name), name, ("app", *self.instances), "instance"):
                    yield Finding(finding.where, finding.what, finding.hint, key=True)
        yield from _one_of(
            (*at, "clear"), step.get("clear"), ("all", *self.targets, *FAULTS, *HOP_FAULTS), "fault or target"
        )
        for key in ("patch", "breaker", "purge"):
            yield from self.hop_keys((*at, key), step.get(key))
        yield from self.in_settings((*at, "patch"), step.get("patch"))
        request = step.get("request")
        if isinstance(request, Mapping):
            yield from self.entry((*at, "request", "to"), request.get("to"))
        expect = step.get("expect")
        if isinstance(expect, Mapping):
            yield from self.in_expectation((*at, "expect"), expect)

    def in_fault(self, at: Where, fault: Mapping[str, Any]) -> Iterator[Finding]:
        target, when = fault.get("target"), fault.get("when")
        yield from self.target((*at, "target"), target)
        if isinstance(when, Mapping) and target in self.targets and target not in HOPS:
            aimed_at = self.instances if target == "app" else (str(target),)
            for finding in _one_of((*at, "when", "instance"), when.get("instance"), aimed_at, "instance"):
                yield Finding(finding.where, f"{target} has no instance {as_text(when['instance'])}", finding.hint)

    def in_expectation(self, at: Where, expect: Mapping[str, Any]) -> Iterator[Finding]:
        yield from _one_of((*at, "decided_by"), expect.get("decided_by"), TIERS, "tier")
        for key in ("attempts", "cache", "hops", "breaker", "endpoints"):
            yield from self.hop_keys((*at, key), expect.get(key))
        endpoints = expect.get("endpoints")
        for hop, states in endpoints.items() if isinstance(endpoints, Mapping) else ():
            for name in states if isinstance(states, Mapping) else ():
                yield from self.endpoint((*at, "endpoints", hop, name), name)
        that = expect.get("that")
        if isinstance(that, list):
            for index, text in enumerate(that):
                yield from self.in_expression((*at, "that", index), text)
        else:
            yield from self.in_expression((*at, "that"), that)

    def in_expression(self, at: Where, text: object) -> Iterator[Finding]:
        if not isinstance(text, str):
            return
        try:
            named = [f for measure in measures(parse_expression(text)) for f in measure.filters]
        except ExpressionError:
            return  # told where the model is built
        kinds = {
            "decided_by": ("tier", (*TIERS, "none")),
            "error": ("error type", (*ERRORS, "none")),
            "instance": ("instance", (*self.instances, "none")),
        }
        for chosen in named:
            what, known = kinds.get(chosen.key, ("", ()))
            if known and chosen.value not in known:
                yield Finding(at, f"{chosen}: there is no such {what}", did_you_mean(chosen.value, known))

    def in_settings(self, at: Where, hops: object) -> Iterator[Finding]:
        """Endpoints that hops' settings name, in a chain or a patch."""
        for hop in HOPS:
            settings = hops.get(hop) if isinstance(hops, Mapping) else None
            if isinstance(settings, Mapping):
                for where, name in names_in(settings):
                    yield from self.endpoint((*at, hop, *where), name)

    def endpoint(self, at: Where, name: object) -> Iterator[Finding]:
        for finding in _one_of(at, name, (*HOPS[1:], *self.instances), "endpoint"):
            yield Finding(finding.where, finding.what, finding.hint, key=isinstance(at[-1], str))

    def target(self, at: Where, name: object) -> Iterable[Finding]:
        return _one_of(at, name, self.targets, "target")

    def entry(self, at: Where, name: object) -> Iterable[Finding]:
        return _one_of(at, name, (*HOPS, *self.instances), "place to send a request to")

    def hop_keys(self, at: Where, value: object) -> Iterator[Finding]:
        if isinstance(value, Mapping):
            for hop in value:
                for finding in _one_of((*at, hop), hop, HOPS, "hop"):
                    yield Finding(finding.where, finding.what, finding.hint, key=True)


def _one_of(at: Where, name: object, known: Sequence[str], what: str) -> Iterator[Finding]:
    if isinstance(name, str) and name not in known:
        yield Finding(at, f"there is no {what} {as_text(name)}", did_you_mean(name, known))
