"""A chain read from a YAML file of its own, for `badgateway up --chain`: what stands under `chain:` in a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.spec import ChainSpec, merge
from badgateway.inputs.problems import InvalidInput
from badgateway.inputs.validation import findings, problems_of
from badgateway.inputs.yamltext import read_yaml


def load_chain(path: Path | None, overrides: Mapping[str, Any]) -> ChainSpec:
    """The chain of a file (the default chain without one), with `overrides` from the command line on top.

    Raises:
        InvalidInput: the file is wrong, with every problem in it.
        InvalidRequest: an override is.
    """
    content: object = {}
    if path is not None:
        document = read_yaml(path)
        content = document.value or {}
        try:
            ChainSpec.model_validate(content)
        except ValidationError as error:
            raise InvalidInput(problems_of(error, document)) from None
    try:
        return ChainSpec.model_validate(merge(content if isinstance(content, Mapping) else {}, overrides))
    except ValidationError as error:
        words = (f"{'.'.join(map(str, found.where))}: {found.what}" for found in findings(error, overrides))
        raise InvalidRequest("; ".join(words)) from None
