"""Settings of how a hop notices that a request has been here before."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from badgateway_proxy.configuration.settings import Section


def _cdn_id(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(:[0-9]{1,5})?", text):
        raise ValueError("must be a name such as cdn.example: it is sent in a header")
    return text


class LoopSettings(Section):
    """How it notices that a request has been here before, and what it answers then."""

    via: bool = True
    """Look for its own name in Via (RFC 9110 section 7.6.3)."""
    cdn_id: Annotated[str, AfterValidator(_cdn_id)] | None = None
    """What it calls itself in CDN-Loop (RFC 8586), which it then adds to every request, and looks for itself in. For
    CDNs; without it that field passes unchanged."""
    status: Literal[502, 508] = 502
    """What it answers to a request that loops: 502 as RFC 9209 recommends, or 508 as some gateways do."""
