"""The examples for other languages are run by those languages' own tools."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_javascript_example_passes() -> None:
    node = shutil.which("node")
    assert node, "Node.js 18 or newer is needed: `sh .ci/packages` installs it"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [node, "--test", str(Path(__file__).with_name("shop.test.mjs"))],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "PATH": path},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# pass 4" in ran.stdout or "pass 4" in ran.stdout, ran.stdout
