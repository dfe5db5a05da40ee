"""Settings of how HTTP/1 is read from clients."""

from __future__ import annotations

from badgateway_proxy.configuration.settings import Section


class Http1Settings(Section):
    """How requests over HTTP/1 are read."""

    allow_custom_methods: bool = False
    """Pass on methods that the parser does not know (BREW, M-GET), instead of answering 501. Envoy's word."""
