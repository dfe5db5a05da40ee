"""Numbers in sentences."""

from __future__ import annotations

import pytest

from badgateway.wording import counted


@pytest.mark.parametrize(("number", "words"), [(0, "no firings"), (1, "1 firing"), (2, "2 firings")])
def test_a_number_of_things(number: int, words: str) -> None:
    assert counted(number, "firing") == words
