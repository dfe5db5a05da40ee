"""Programs that some tests need besides Python."""

from __future__ import annotations

import os
import shutil

import pytest


def require(*names: str) -> None:
    """Skip the test where one of these programs is missing; fail it in CI, which installs them (`.ci/packages`)."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        words = f"{' and '.join(missing)} missing; `sh .ci/packages`, as root on Debian or Ubuntu, installs it"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
