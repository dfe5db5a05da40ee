"""Names for instances that are started alike: each its own, and free again however a process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from badgateway_upstream.cli import main
from badgateway_upstream.numbering import MOST, take_name

HOLD = "import sys, time; from pathlib import Path; from badgateway_upstream.numbering import take_name; \
print(take_name(Path(sys.argv[1]))[0], flush=True); time.sleep(60)"


def test_each_has_the_first_name_that_is_free_also_after_a_crash(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "app-1\n"
        name, held = take_name(tmp_path)
        assert name == "app-2"
        other.send_signal(signal.SIGKILL)
        other.wait()
    again, first = take_name(tmp_path)
    assert again == "app-1"
    for descriptor in (held, first):
        os.close(descriptor)


def test_there_is_an_end_to_it(tmp_path: Path) -> None:
    held = [take_name(tmp_path)[1] for _ in range(MOST)]
    with pytest.raises(OSError, match=f"{MOST} instances"):
        take_name(tmp_path)
    for descriptor in held:
        os.close(descriptor)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["--numbered", str(tmp_path / "none")])
    assert (ran.exit_code, "--numbered" in ran.output, "Traceback" in ran.output) == (2, True, False)
