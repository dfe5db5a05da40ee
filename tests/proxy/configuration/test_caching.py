from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from badgateway_proxy.configuration.caching import CacheSettings


def test_is_off_by_default_and_by_itself_keeps_to_what_responses_say() -> None:
    settings = CacheSettings()
    assert not settings.enabled
    assert (settings.default_ttl, settings.stale_if_error, settings.stale_while_revalidate) == (0, 0, 0)
    assert settings.negative.ttl == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_object": 2000, "memory": 1000}, "max_object is larger than memory"),
        ({"targeted": ["CDN Cache-Control"]}, "is no field name"),
        ({"negative": {"statuses": [404]}}, "greater than or equal to 500"),
        ({"default_ttl": 5}, "a duration needs a unit"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CacheSettings.model_validate(settings)
