"""The examples are shown as they are, so what they need besides Python stands here."""

from __future__ import annotations

import pytest

from tests.support.tools import require

NEEDED = {"test_page_in_a_browser.py": ["chromedriver"], "test_without_python.py": ["node"]}


@pytest.fixture(autouse=True, scope="module")
def tools(request: pytest.FixtureRequest) -> None:
    """See `require`."""
    require(*NEEDED.get(request.path.name, []))
