"""Which names a fault of the DNS server is about: the one attribute that they all have."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec
from badgateway_upstream.engine.schedule import Occasion


class NameFault(FaultSpec):
    """Attributes of every fault of a DNS server."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.*-]{1,255}$")] = "*"
    """Which names; `*` stands for any characters: `app-*`."""


def concerns(spec: NameFault, occasion: Occasion) -> bool:
    """Whether a question, whose name is the occasion's path, is about such a name."""
    return fnmatchcase(occasion.path, spec.name.lower())
