from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from badgateway_proxy.configuration.upstream_limits import AdaptiveConcurrencySettings, UpstreamLimitSettings


@pytest.mark.parametrize(
    "settings",
    [{"max_connections": 0}, {"max_requests": 0}, {"max_retries": -1}, {"max_pending_requests": -1}, {"max_conn": 1}],
)
def test_limits_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpstreamLimitSettings.model_validate(settings)


@pytest.mark.parametrize(
    "settings", [{"min_limit": 30}, {"max_limit": 10}, {"min_limit": 50, "initial_limit": 60, "max_limit": 55}]
)
def test_adaptive_limits_are_in_order(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must be in that order"):
        AdaptiveConcurrencySettings.model_validate(settings)


def test_nothing_is_limited_by_default() -> None:
    limits = UpstreamLimitSettings()
    assert (limits.max_connections, limits.max_requests, limits.max_retries) == (None, None, None)
    assert AdaptiveConcurrencySettings().algorithm == "off"
