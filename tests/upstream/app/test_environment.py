"""The shop's environment variables."""

from __future__ import annotations

import os

import pytest

from badgateway_upstream.app.environment import SIGNING_KEY, MissingVariableError, provide, receipt


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIGNING_KEY, "from outside")


def test_receipts_are_signed_with_the_key_that_was_provided() -> None:
    provide({SIGNING_KEY: "a", "SHOP_COLOUR": "red"})
    assert os.environ["SHOP_COLOUR"] == "red"
    first = receipt(1, 2, 3)
    assert first.startswith(b"order 1: 3 of product 2\nsigned ")
    provide({SIGNING_KEY: "b"})
    assert receipt(1, 2, 3) != first
    del os.environ["SHOP_COLOUR"]


def test_a_key_that_is_not_provided_is_missed_when_it_is_needed() -> None:
    provide({})
    with pytest.raises(KeyError, match=SIGNING_KEY):
        receipt(1, 2, 3)


def test_a_check_misses_it_at_once() -> None:
    with pytest.raises(MissingVariableError, match="the environment variable SHOP_SIGNING_KEY is not set"):
        provide({}, check=True)
