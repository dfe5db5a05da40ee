"""The settings of a scenario's chain that are its cause: `chain_cause: lb.limits.request_body`.

Taken out means: as the default chain has it. Paths lead into the chain as it is written, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from badgateway.chain.spec import ChainSpec
from badgateway.inputs.problems import as_text, did_you_mean
from badgateway.inputs.validation import Finding, findings


def written(chain: Mapping[str, Any]) -> list[str]:
    """Every path that a chain writes, outer ones first: `lb`, `lb.limits`, `lb.limits.request_body`."""
    paths = []
    for key, value in chain.items():
        paths.append(str(key))
        if isinstance(value, Mapping):
            paths += [f"{key}.{below}" for below in written(value)]
    return paths


def without_settings(chain: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The chain as it is written, without the settings at these paths."""
    left = deepcopy(dict(chain))
    for path in paths:
        *above, last = path.split(".")
        holder = left
        for key in above:
            holder = holder.get(key, {})
        holder.pop(last, None)
    return left


def wrong_settings(chain: Mapping[str, Any], paths: Sequence[str]) -> list[Finding]:
    """What is wrong with `chain_cause`: a path that is not written, or a chain that is none without it."""
    known = written(chain)
    found = []
    for index, path in enumerate(paths):
        where = ("chain_cause", index)
        if path not in known:
            hint = did_you_mean(path, known) or "give the path of a setting that `chain` has"
            found.append(Finding(where, f"the chain sets no {as_text(path)}", hint))
            continue
        try:
            ChainSpec.model_validate(without_settings(chain, [path]))
        except ValidationError as error:
            first = findings(error, chain)[0].what
            found.append(Finding(where, f"the chain cannot be without {path} alone: {first}"))
    return found
