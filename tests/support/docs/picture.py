"""The picture in the README: what `badgateway demo` draws on a terminal, recorded from a real run as SVG."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import StringIO

from rich.console import Console
from rich.text import Text

from tests.support.docs import ROOT

PICTURE = ROOT / "docs" / "demo.svg"
COLUMNS, ROWS = 100, 60
SCENES = (2, 5)
"""The scenes that it shows: one cause, one code and one deciding hop each."""

_FONTS = "@font-face"


def record() -> str:
    """Run the demo on a terminal of its own, and return the chosen scenes as SVG."""
    lines = _on_a_terminal([sys.executable, "-m", "badgateway", "demo"]).splitlines()
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ badgateway demo\n", style="bold"))
    for line in _scenes(lines):
        console.print(Text.from_ansi(line))
    return _without_fonts(console.export_svg(title="badgateway demo (2 of its 10 scenes)", unique_id="demo"))


def _scenes(lines: Sequence[str]) -> Iterator[str]:
    wanted = False
    for line in lines:
        plain = Text.from_ansi(line).plain.strip()
        number, slash, _ = plain.partition("/")
        if slash and number.isdecimal():
            wanted = int(number) in SCENES
        elif plain.startswith("─────"):
            wanted = False
        if wanted:
            yield line


def _without_fonts(svg: str) -> str:
    """The SVG without its links to web fonts: a picture should load nothing."""
    before, *rest = svg.split(_FONTS)
    return before + "".join(part.partition("}")[2].lstrip() for part in rest)


def _on_a_terminal(command: Sequence[str]) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        pieces = []
        with suppress(OSError):  # EIO: the terminal's other end was closed
            while piece := os.read(ours, 65536):
                pieces.append(piece)
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"the demo ended with {process.returncode}")
    return b"".join(pieces).decode()
